//! What about a Service is not as its object says, one sentence each: which object, which field, what to do.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use crate::objects::{ObjectName, Objects};

/// Something about a Service that the operator should know. Shown as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Issue {
    /// The Service.
    pub service: ObjectName,
    /// What is wrong.
    pub reason: Reason,
}

impl std::fmt::Display for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Service {}: {}", self.service, self.reason)
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// Two Services have one address.
    #[error(
        "spec.clusterIPs: {address} is the address of Service {elder} too, which is older and has it; give this one another"
    )]
    Taken {
        /// The address.
        address: IpAddr,
        /// Who has it.
        elder: ObjectName,
    },
    /// A node has the address.
    #[error(
        "spec.clusterIPs: {address} is also the InternalIP of Node {node}, which keeps all other ports; give the Service another address, or correct the Node"
    )]
    Node {
        /// The address.
        address: IpAddr,
        /// The node.
        node: Arc<str>,
    },
    /// A pod has the address.
    #[error(
        "spec.clusterIPs: {address} is also an address of Pod {pod}, which sockets cannot reach; keep Services' CIDR and pods' CIDRs apart"
    )]
    Pod {
        /// The address.
        address: IpAddr,
        /// The pod.
        pod: ObjectName,
    },
    /// A protocol that has no socket program.
    #[error(
        "spec.ports: port {port} is SCTP, which is not translated at the socket and needs kube-proxy, which does not run here"
    )]
    Sctp {
        /// The port.
        port: u16,
    },
    /// A port has more backends than one can have.
    #[error(
        "spec.ports: a port has {backends} endpoints of at most {capacity}; all of its ports are refused; let it have fewer"
    )]
    Many {
        /// How many it has.
        backends: usize,
        /// How many it can have.
        capacity: usize,
    },
    /// Its namespace asks for too much.
    #[error(
        "spec.ports: the Services of namespace {namespace} need more than the {quota} entries that it may have of the map \
         {map}; all ports of this one are refused, since older ones have room first; remove ports, endpoints or Services of \
         this namespace"
    )]
    Share {
        /// The namespace.
        namespace: Arc<str>,
        /// The map.
        map: &'static str,
        /// How many entries the namespace may have.
        quota: usize,
    },
    /// It waits for room.
    #[error(
        "spec.ports: the map {map} with its {capacity} entries is full until what was in force before has left it; let \
         Services change more slowly, or remove some"
    )]
    Full {
        /// The map.
        map: &'static str,
        /// How many fit.
        capacity: usize,
    },
}

impl Reason {
    /// Its name, by which Events can be chosen.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Taken { .. } => "DuplicateClusterIP",
            Self::Node { .. } => "ClusterIPOfNode",
            Self::Pod { .. } => "ClusterIPOfPod",
            Self::Sctp { .. } => "UnsupportedProtocol",
            Self::Many { .. } => "TooManyBackends",
            Self::Share { .. } => "ServiceShareFull",
            Self::Full { .. } => "ServiceMapFull",
        }
    }
}

/// Services whose addresses pods have, too: `services` are addresses with who serves them.
#[must_use]
pub fn shared_with_pods<'a>(objects: &Objects, service_at: impl Fn(&IpAddr) -> Option<&'a ObjectName>) -> Vec<Issue> {
    let mut seen = BTreeSet::new();
    let mut issues = Vec::new();
    for pod in objects.pods.values().filter(|pod| pod.is_networked()) {
        for address in &pod.ips {
            if let Some(service) = service_at(address)
                && seen.insert(*address)
            {
                let reason = Reason::Pod { address: *address, pod: pod.name.clone() };
                issues.push(Issue { service: service.clone(), reason });
            }
        }
    }
    issues
}
