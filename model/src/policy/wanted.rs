//! What should hold for an endpoint: the union of the policies that select its pod, by direction.

use std::sync::Arc;

use super::{
    draft::Draft,
    policies::{DIRECTIONS, Policies},
};
use crate::objects::{ObjectName, Pod};

/// One direction: what its table should hold, if some policy isolates the endpoint, and which policies do.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) draft: Option<Draft>,
    pub(super) policies: Vec<ObjectName>,
}

/// Ingress and egress. Without a pod object nothing selects the endpoint.
pub(super) fn wanted(pod: Option<&Arc<Pod>>, policies: &mut Policies) -> [Wanted; 2] {
    let selecting = pod.map(|pod| (pod, policies.selecting(pod)));
    [0, 1].map(|at| {
        let mut wanted = Wanted::default();
        let Some((pod, selecting)) = &selecting else { return wanted };
        for (policy, rules) in selecting.iter().filter(|(policy, _)| policy.isolates.contains(&DIRECTIONS[at])) {
            wanted.policies.push(policy.name.clone());
            let draft = wanted.draft.get_or_insert_default();
            rules[at].iter().for_each(|rule| draft.add(rule, pod));
        }
        wanted
    })
}
