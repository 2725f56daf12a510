//! What is told of an engine: how much there is, and what is not as its object says.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Issue, Reason,
    engine::Engine,
    room::{MAPS, Summary},
    share::Refusal,
};
use crate::objects::ObjectName;

impl Engine {
    /// How much there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            services: self.owned.len(),
            refused: self.shares.refused().count(),
            frontends: self.live.len() + self.addresses.len(),
            ports: self.live.len(),
            backends: self.used.backends,
            members: self.used.members,
        }
    }

    /// What is not as its object says. Pods that have a Service's address are found by [`super::shared_with_pods`].
    #[must_use]
    pub fn issues(&self, kube_proxy: bool) -> Vec<Issue> {
        let mut issues = Vec::new();
        for address in &self.contested {
            let Some(claims) = self.claims.get(address) else { continue };
            let Some((_, elder)) = claims.first() else { continue };
            issues.extend(claims.iter().skip(1).map(|(_, service)| Issue {
                service: service.clone(),
                reason: Reason::Taken { address: *address, elder: elder.clone() },
            }));
        }
        for address in &self.of_nodes {
            let node = self.node_ips.get(address).and_then(BTreeSet::first);
            let (Some(claims), Some(node)) = (self.claims.get(address), node) else { continue };
            issues.extend(claims.first().map(|(_, service)| Issue {
                service: service.clone(),
                reason: Reason::Node { address: *address, node: Arc::clone(node) },
            }));
        }
        issues.extend(self.shares.refused().map(|(name, refusal)| self.refused(name, refusal)));
        issues
            .extend(self.waiting.iter().map(|(name, reason)| Issue { service: name.clone(), reason: reason.clone() }));
        if !kube_proxy {
            for (name, ports) in &self.sctp {
                let reason = |port: &u16| Reason::Sctp { port: *port };
                issues.extend(ports.iter().map(|port| Issue { service: name.clone(), reason: reason(port) }));
            }
        }
        issues
    }

    fn refused(&self, name: &ObjectName, refusal: Refusal) -> Issue {
        let reason = match refusal {
            Refusal::Many { backends } => Reason::Many { backends, capacity: self.limits.of_one },
            Refusal::Share { map, quota, .. } => {
                Reason::Share { namespace: Arc::clone(&name.namespace), map: MAPS[map], quota }
            }
        };
        Issue { service: name.clone(), reason }
    }
}
