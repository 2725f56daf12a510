//! What should hold for an endpoint: the union of the policies that select its pod, by direction.

use std::sync::Arc;

use super::{
    limits::OF_POD,
    policies::{DIRECTIONS, Policies},
    port::{PortPrefix, number},
    rule::Rule,
    tables::Draft,
};
use crate::objects::{ContainerPort, ObjectName, Pod};

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

impl Draft {
    fn add(&mut self, rule: &Arc<Rule>, pod: &Pod) {
        // One more than fits anywhere: whoever asks how much it is finds it refused.
        if self.rules.len() > OF_POD.keys {
            return;
        }
        self.spec.push(rule.serial);
        if rule.named.is_empty() {
            return self.rules.push((rule.clone(), rule.ports.clone()));
        }
        let is_named = |port: &&ContainerPort| {
            rule.named.binary_search_by(|name| (&*name.name, name.protocol).cmp(&(&*port.name, port.protocol))).is_ok()
        };
        let named = pod.ports.iter().filter(is_named).map(|port| PortPrefix::one(number(port.protocol), port.port));
        let mut named: Vec<PortPrefix> = named.collect();
        named.sort_unstable();
        named.dedup();
        // The same rule with other numbers for its ports is another result.
        self.spec.push(u64::MAX - named.len() as u64);
        self.spec.extend(named.iter().map(|port| u64::from(port.protocol) << 16 | u64::from(port.port)));
        named.extend(rule.ports.iter());
        self.rules.push((rule.clone(), named.into()));
    }
}
