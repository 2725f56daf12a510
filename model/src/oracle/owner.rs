//! Whose an address is. On its own node the lease decides; elsewhere a node goes before a pod, and of two pods that claim
//! one address the one that `desired` gives it to.

use std::{net::IpAddr, sync::Arc};

use super::{Endpoint, World};
use crate::{desired::precedence, objects::Pod};

/// Whose an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A pod's of this node.
    Endpoint(&'a Endpoint),
    /// A node's.
    Node(&'a str),
    /// A pod's of another node, or of another plugin on this one.
    Pod(&'a Pod),
    /// Nobody's that any object names.
    Nobody,
}

impl<'a> World<'a> {
    /// Whose an address is.
    #[must_use]
    pub fn owner(&self, address: IpAddr) -> Owner<'a> {
        if let Some(endpoint) = self.endpoint_at(address) {
            return Owner::Endpoint(endpoint);
        }
        if self.own_addresses.contains(&address) {
            return Owner::Node(self.node_name);
        }
        if let Some(node) = self.objects.nodes.values().find(|node| node.internal_ips.contains(&address)) {
            return Owner::Node(&node.name);
        }
        let claimants = self.objects.pods.values().map(Arc::as_ref).filter(|pod| self.claims(pod, address));
        claimants.max_by(|a, b| precedence(a).cmp(&precedence(b))).map_or(Owner::Nobody, Owner::Pod)
    }

    /// The Pod object that policies look at where they look for a peer with this address: neither one that ended, nor
    /// one in its node's network.
    #[must_use]
    pub fn peer_pod(&self, address: IpAddr) -> Option<&'a Pod> {
        match self.owner(address) {
            Owner::Endpoint(endpoint) => self.pod_of(endpoint).filter(|pod| pod.is_networked()),
            Owner::Pod(pod) => Some(pod),
            Owner::Node(_) | Owner::Nobody => None,
        }
    }

    /// Whether a pod of a known node says that an address is its own. (One of this node without a lease is another
    /// plugin's.)
    fn claims(&self, pod: &Pod, address: IpAddr) -> bool {
        let known = |node: &Arc<str>| self.objects.nodes.contains_key(node);
        pod.is_networked() && pod.ips.contains(&address) && pod.node.as_ref().is_some_and(known)
    }
}
