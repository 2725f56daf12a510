//! The oracle: would this packet pass, and which rule says so?
//!
//! Kubernetes' documentation read rule by rule, every object asked for every packet, so that it is easily seen to be
//! right (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>, and the API reference of
//! `networking.k8s.io/v1`). It shares nothing with the compiler but objects and selectors: the two are tested against
//! each other. It explains verdicts to operators, too.
//!
//! ```text
//! packet ─▶ owner: whose are its addresses ─▶ rule: does one allow it ─▶ judge: each local end
//!      └──▶ flows: does it belong to a flow whose opener may still send ──┘
//! ```

pub mod flows;
mod judge;
mod owner;
mod packet;
mod rule;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use judge::{End, Exemption, Judgement, RuleRef, judge};
pub use owner::Owner;
pub use packet::{Packet, Sender, Traffic};

use crate::objects::{ObjectName, Objects, Pod};

/// All that a verdict on one node depends on.
#[derive(Debug, Clone, Copy)]
pub struct World<'a> {
    /// The objects of this moment.
    pub objects: &'a Objects,
    /// The node on which the verdict is given.
    pub node_name: &'a str,
    /// That node's leases.
    pub endpoints: &'a [Endpoint],
    /// That node's own addresses.
    pub own_addresses: &'a [IpAddr],
    /// What a pod may send to its own node.
    pub own_node_egress: OwnNodeEgress,
}

/// A lease: an address of a pod on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The endpoint's index.
    pub index: u32,
    /// The leased addresses.
    pub addresses: Vec<IpAddr>,
    /// The pod's name, where the runtime gave one.
    pub pod: Option<ObjectName>,
    /// The pod's uid; empty where the runtime gave none.
    pub uid: String,
}

/// What holds for packets of a pod to its own node. (The documentation leaves that to the implementation.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnNodeEgress {
    /// They pass.
    #[default]
    Allow,
    /// The pod's policies decide.
    Policed,
}

impl<'a> World<'a> {
    /// The Pod object that names an endpoint: the lease's name, and its uid where both have one.
    #[must_use]
    pub fn pod_of(&self, endpoint: &Endpoint) -> Option<&'a Pod> {
        let pod = self.objects.pods.get(endpoint.pod.as_ref()?)?;
        pod.has_uid(&endpoint.uid).then_some(&**pod)
    }

    /// The endpoint with an address.
    #[must_use]
    pub fn endpoint_at(&self, address: IpAddr) -> Option<&'a Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.addresses.contains(&address))
    }
}
