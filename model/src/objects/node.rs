//! The cluster-scoped objects: nodes and namespaces.

use std::{net::IpAddr, sync::Arc};

use ipnetwork::IpNetwork;

use crate::{cidr::Family, selector::Labels};

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.creationTimestamp` in seconds since 1970; 0 where there is none.
    pub created: u64,
    /// `spec.podCIDRs`, else `spec.podCIDR`; host bits may be set.
    pub pod_cidrs: Vec<IpNetwork>,
    /// `status.addresses` of type `InternalIP`, in their order.
    pub internal_ips: Vec<IpAddr>,
    /// Its `spec.taints` hold the one that waits for its agent.
    pub start_taint: bool,
}

impl Node {
    /// The first InternalIP of a family.
    #[must_use]
    pub fn internal_ip(&self, family: Family) -> Option<IpAddr> {
        self.internal_ips.iter().copied().find(|ip| Family::of(*ip) == family)
    }
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.labels`.
    pub labels: Labels,
}
