//! Who may have what: pods' wishes noted in the book of shares before anything is made of them.

use super::{
    count,
    demand::Excess,
    engine::Engine,
    limits::OF_POD,
    policies::{DIRECTIONS, list},
    space::Dirty,
    wanted::{self, Wanted},
};
use crate::objects::{Direction, NetworkPolicy};

/// What a policy asks for beyond what any pod may have in one direction, and in which. Such a policy never fits: a source
/// refuses it as it refuses a bad value.
#[must_use]
pub fn excess(policy: &NetworkPolicy) -> Option<(Direction, Excess)> {
    let asks = DIRECTIONS.map(|at| (at, count::of_policy(&policy.name, at, list(policy, at))));
    asks.into_iter().find_map(|(at, ask)| Some((at, ask.excess(&OF_POD)?)))
}

impl Engine {
    /// Notes what the endpoints that a change touched want, and adds those whose share is another now.
    pub(super) fn share(&mut self, dirty: &mut Dirty) {
        for index in &dirty.endpoints {
            let wanted = wanted::wanted(self.locals.pod(*index, &self.pods), &mut self.policies);
            let Some(local) = self.locals.get_mut(*index) else { continue };
            let Some(pod) = &local.endpoint.pod else { continue };
            let before = std::mem::take(&mut local.wanted);
            local.wanted = wanted.map(|Wanted { draft, .. }| {
                let draft = draft.filter(|draft| !draft.rules.is_empty())?;
                Some(self.book.hold(&pod.namespace, &draft.spec, &self.limits, || count::of_draft(&draft)))
            });
            before.iter().flatten().for_each(|spec| self.book.let_go(&pod.namespace, spec, &self.limits));
            if before != local.wanted {
                dirty.namespaces.insert(pod.namespace.clone());
            }
        }
        for namespace in std::mem::take(&mut dirty.namespaces) {
            let changed = self.book.decide(&namespace, &self.limits);
            if changed.is_empty() {
                continue;
            }
            for index in self.locals.in_namespace(&namespace) {
                let wants = |spec| changed.contains(spec);
                if self.locals.get(index).is_some_and(|local| local.wanted.iter().flatten().any(wants)) {
                    dirty.endpoints.insert(index);
                }
            }
        }
    }
}
