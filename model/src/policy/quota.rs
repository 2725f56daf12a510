//! Shares: what each namespace's pods want, and which of it is too much. A function of what is wanted now, whoever came
//! first: within a namespace the largest results lose, and no other namespace does.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    demand::{Demand, Excess},
    limits::Limits,
};

/// What a wanted result is known by.
pub(super) type Spec = Arc<[u64]>;

/// Whose limit is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Pod(Excess),
    Namespace(Excess),
}

/// Every namespace with endpoints that policies isolate.
#[derive(Debug, Default)]
pub(super) struct Book(HashMap<Arc<str>, Account>);

#[derive(Debug, Default)]
struct Account {
    /// How much each result asks for, and how many directions of endpoints want it.
    wanted: HashMap<Spec, (Demand, usize)>,
    /// What all of them ask for that a pod may ask for.
    sum: Demand,
    /// What loses while that is too much.
    refused: HashSet<Spec>,
    excess: Option<Excess>,
}

impl Book {
    /// Notes that one direction of an endpoint more wants a result; `ask` is asked of new ones.
    pub(super) fn hold(
        &mut self,
        namespace: &Arc<str>,
        spec: &[u64],
        limits: &Limits,
        ask: impl FnOnce() -> Demand,
    ) -> Spec {
        let account = self.0.entry(namespace.clone()).or_default();
        if let Some((known, _)) = account.wanted.get_key_value(spec) {
            let known = known.clone();
            account.wanted.entry(known.clone()).and_modify(|(_, holders)| *holders += 1);
            return known;
        }
        let (spec, ask): (Spec, Demand) = (spec.into(), ask());
        account.wanted.insert(spec.clone(), (ask, 1));
        if ask.excess(&limits.of_pod).is_none() {
            account.sum.add(ask);
        }
        spec
    }

    /// Notes that one direction of an endpoint less wants a result.
    pub(super) fn let_go(&mut self, namespace: &Arc<str>, spec: &Spec, limits: &Limits) {
        let Some(account) = self.0.get_mut(namespace) else { return };
        let Some((ask, holders)) = account.wanted.get_mut(spec) else { return };
        *holders -= 1;
        if *holders > 0 {
            return;
        }
        if ask.excess(&limits.of_pod).is_none() {
            account.sum.subtract(*ask);
        }
        account.wanted.remove(spec);
        if account.wanted.is_empty() {
            self.0.remove(namespace);
        }
    }

    /// Decides anew what a namespace may have; answers with the results of which that changed.
    pub(super) fn decide(&mut self, namespace: &Arc<str>, limits: &Limits) -> HashSet<Spec> {
        let Some(account) = self.0.get_mut(namespace) else { return HashSet::new() };
        account.excess = account.sum.excess(&limits.of_namespace);
        if account.excess.is_none() && account.refused.is_empty() {
            return HashSet::new();
        }
        let fitting = account.wanted.iter().filter(|(_, (ask, _))| ask.excess(&limits.of_pod).is_none());
        let ascending: BTreeSet<_> = fitting.map(|(spec, (ask, _))| (ask.weight(), *ask, spec)).collect();
        let (mut sum, mut refused) = (Demand::default(), HashSet::new());
        for (_, ask, spec) in ascending {
            let mut with = sum;
            with.add(ask);
            match with.excess(&limits.of_namespace) {
                None => sum = with,
                Some(_) => _ = refused.insert(spec.clone()),
            }
        }
        let changed = refused.symmetric_difference(&account.refused).cloned().collect();
        account.refused = refused;
        changed
    }

    /// How much a result asks for.
    pub(super) fn ask(&self, namespace: &Arc<str>, spec: &[u64]) -> Demand {
        self.0.get(namespace).and_then(|account| account.wanted.get(spec)).map(|(ask, _)| *ask).unwrap_or_default()
    }

    /// What a namespace asks for in all.
    pub(super) fn sum(&self, namespace: &str) -> Demand {
        self.0.get(namespace).map(|account| account.sum).unwrap_or_default()
    }

    /// Why a result may not be.
    pub(super) fn refusal(&self, namespace: &Arc<str>, spec: &[u64], limits: &Limits) -> Option<Refusal> {
        let account = self.0.get(namespace)?;
        let (ask, _) = account.wanted.get(spec)?;
        match ask.excess(&limits.of_pod) {
            Some(excess) => Some(Refusal::Pod(excess)),
            None => account.excess.filter(|_| account.refused.contains(spec)).map(Refusal::Namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let of = |keys| Demand { keys, prefixes: 9, selectors: 9 };
        Limits { of_pod: of(6), of_namespace: of(10), ..Limits::default() }
    }

    /// What of these results is refused, wanted in this order.
    fn refused(asks: &[usize]) -> Vec<usize> {
        let (mut book, limits, namespace) = (Book::default(), limits(), Arc::from("a"));
        for (at, keys) in asks.iter().enumerate() {
            book.hold(&namespace, &[at as u64], &limits, || Demand { keys: *keys, ..Demand::default() });
            book.decide(&namespace, &limits);
        }
        let mut all: Vec<usize> = asks
            .iter()
            .enumerate()
            .filter(|(at, _)| book.refusal(&namespace, &[*at as u64], &limits).is_some())
            .map(|(_, keys)| *keys)
            .collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn the_largest_lose_whoever_came_first() {
        for asks in [[5, 1, 4, 2], [1, 2, 4, 5], [4, 5, 2, 1]] {
            assert_eq!(refused(&asks), [5], "{asks:?}");
        }
        assert_eq!(refused(&[5, 5]), []);
    }

    #[test]
    fn what_no_pod_may_have_takes_nothing_from_the_namespace() {
        assert_eq!(refused(&[7, 5, 5]), [7]);
    }

    #[test]
    fn who_was_refused_is_told_when_there_is_room_again() {
        let (mut book, limits, namespace) = (Book::default(), limits(), Arc::from("a"));
        let hold = |book: &mut Book, name: u64, keys| {
            book.hold(&namespace, &[name], &limits, || Demand { keys, ..Demand::default() })
        };
        let (small, _large) = (hold(&mut book, 1, 5), hold(&mut book, 2, 6));
        assert_eq!(book.decide(&namespace, &limits).into_iter().collect::<Vec<_>>(), [Spec::from([2])]);
        book.let_go(&namespace, &small, &limits);
        assert_eq!(book.decide(&namespace, &limits).into_iter().collect::<Vec<_>>(), [Spec::from([2])]);
        assert_eq!(book.refusal(&namespace, &[2], &limits), None);
    }
}
