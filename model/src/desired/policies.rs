//! Policies that select pods here, as long as nothing enforces them.

use super::{Input, Issue, Reason};
use crate::objects::Pod;

/// Reports each policy that selects a pod of this node.
pub(super) fn report(input: Input<'_>, issues: &mut Vec<Issue>) {
    if input.objects.policies.is_empty() {
        return;
    }
    let pods: Vec<&Pod> =
        input.objects.pods_on(input.node_name).map(|pod| &**pod).filter(|pod| pod.is_networked()).collect();
    for policy in input.objects.policies.values() {
        let mut selected = pods.iter().filter(|pod| policy.selects(pod));
        if let Some(example) = selected.next() {
            let reason = Reason::NotEnforced { pods: 1 + selected.count(), example: example.name.to_string() };
            issues.push(Issue { object: format!("NetworkPolicy {}", policy.name), reason });
        }
    }
}
