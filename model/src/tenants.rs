//! Which endpoints share one allowance of the connection table: those of a namespace. Tenants are small numbers, indices of
//! `fr_tenants`, that mean nothing outside of this node; a number is given again when its last endpoint has gone.

use std::collections::{BTreeMap, BTreeSet};

/// The number of each namespace that has an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenants {
    /// By namespace; the empty name is of endpoints that are no pods of Kubernetes.
    numbers: BTreeMap<String, u32>,
    /// Each endpoint's namespace, by its index.
    endpoints: BTreeMap<u32, String>,
}

impl Tenants {
    /// The tenant of an endpoint in a namespace, which counts as there from now on. `former` is the number that it had under a
    /// former agent: its flows count for that, so it is kept where no other namespace has it.
    pub fn enter(&mut self, endpoint: u32, namespace: &str, former: Option<u32>) -> u32 {
        if self.endpoints.get(&endpoint).is_none_or(|known| known != namespace) {
            self.leave(endpoint);
            self.endpoints.insert(endpoint, namespace.to_owned());
        }
        if let Some(number) = self.numbers.get(namespace) {
            return *number;
        }
        let taken: BTreeSet<u32> = self.numbers.values().copied().collect();
        let former = former.filter(|number| *number != 0 && !taken.contains(number));
        let number = former.or_else(|| (1..=u32::MAX).find(|number| !taken.contains(number))).unwrap_or_default();
        self.numbers.insert(namespace.to_owned(), number);
        number
    }

    /// An endpoint has gone.
    pub fn leave(&mut self, endpoint: u32) {
        let Some(namespace) = self.endpoints.remove(&endpoint) else { return };
        if !self.endpoints.values().any(|other| *other == namespace) {
            self.numbers.remove(&namespace);
        }
    }

    /// How many endpoints there are.
    #[must_use]
    pub fn endpoints(&self) -> u32 {
        u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_a_namespace_share_a_number_and_others_have_another() {
        let mut tenants = Tenants::default();
        assert_eq!([tenants.enter(5, "a", None), tenants.enter(6, "b", None), tenants.enter(7, "a", None)], [1, 2, 1]);
        assert_eq!((tenants.enter(5, "a", None), tenants.endpoints()), (1, 3), "again changes nothing");
    }

    #[test]
    fn a_number_is_free_when_its_last_endpoint_has_gone() {
        let mut tenants = Tenants::default();
        tenants.enter(1, "a", None);
        tenants.enter(2, "a", None);
        tenants.leave(1);
        assert_eq!(tenants.enter(3, "b", None), 2);
        tenants.leave(2);
        tenants.leave(2);
        assert_eq!((tenants.enter(4, "c", None), tenants.endpoints()), (1, 2));
    }

    #[test]
    fn a_former_agents_number_stays_unless_another_namespace_has_it() {
        let mut tenants = Tenants::default();
        assert_eq!(tenants.enter(1, "a", Some(7)), 7);
        assert_eq!(tenants.enter(2, "b", Some(7)), 1);
        assert_eq!(tenants.enter(3, "c", Some(0)), 2);
        assert_eq!(tenants.enter(4, "a", Some(9)), 7);
    }

    #[test]
    fn an_index_that_goes_to_another_namespace_takes_its_tenant() {
        let mut tenants = Tenants::default();
        tenants.enter(1, "a", None);
        assert_eq!((tenants.enter(1, "b", None), tenants.endpoints()), (1, 1));
    }
}
