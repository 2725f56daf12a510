//! A result that is still to find its table.

use std::sync::Arc;

use super::{
    limits::OF_POD,
    port::{PortPrefix, number},
    rule::Rule,
};
use crate::objects::{ContainerPort, Pod};

/// A result that is still to find its table: rules with the ports that are the same for every peer. One without rules is
/// [`super::CLOSED`].
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What it is known by.
    pub(super) spec: Vec<u64>,
    pub(super) rules: Vec<(Arc<Rule>, Arc<[PortPrefix]>)>,
}

impl Draft {
    /// Adds a rule, with the ports that the pod gives its names.
    pub(super) fn add(&mut self, rule: &Arc<Rule>, pod: &Pod) {
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
