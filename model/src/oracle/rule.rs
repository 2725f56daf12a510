//! Whether one rule allows a packet: one of its peers, and one of its ports.

use std::net::IpAddr;

use super::{Packet, World};
use crate::{
    objects::{ContainerPort, Direction, NetworkPolicy, Pod, PolicyPeer, PolicyPort, PolicyRule, PortMatch, Protocol},
    selector::{Labels, Selector, Test},
};

/// The label that every namespace has
/// (<https://kubernetes.io/docs/concepts/services-networking/network-policies/#targeting-a-namespace-by-its-name>).
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// One rule of a policy, asked for the pod that the policy selects.
pub(super) struct Asked<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) policy: &'a NetworkPolicy,
    pub(super) direction: Direction,
    /// The pod that the policy selects.
    pub(super) subject: &'a Pod,
}

impl Asked<'_> {
    /// Whether a rule of the policy allows the packet.
    pub(super) fn allows(&self, rule: &PolicyRule, packet: &Packet) -> bool {
        let peer = match self.direction {
            Direction::Ingress => packet.source,
            Direction::Egress => packet.destination,
        };
        let from = rule.peers.is_empty() || rule.peers.iter().any(|one| self.is_peer(one, peer));
        from && (rule.ports.is_empty() || rule.ports.iter().any(|one| self.is_port(one, packet)))
    }

    /// "namespaceSelector and podSelector: [...] selects particular Pods within particular namespaces"; a podSelector
    /// alone selects "in the same namespace as the NetworkPolicy". A block matches whatever has an address in it.
    fn is_peer(&self, peer: &PolicyPeer, address: IpAddr) -> bool {
        match peer {
            PolicyPeer::Block(block) => {
                block.cidr.contains(address) && !block.except.iter().any(|except| except.contains(address))
            }
            PolicyPeer::Pods { namespaces, pods } => self.world.peer_pod(address).is_some_and(|pod| {
                let namespace = &pod.name.namespace;
                let within = match namespaces {
                    None => *namespace == self.policy.name.namespace,
                    Some(selector) => self.is_namespace(selector, namespace),
                };
                within && pods.matches(&pod.labels)
            }),
        }
    }

    /// Whether a selector selects the namespace of that name. What labels a namespace has that no object tells of is
    /// not known but for its name: nothing is concluded from what seems to be missing.
    fn is_namespace(&self, selector: &Selector, name: &str) -> bool {
        let known = self.world.objects.namespaces.get(name);
        let own = known.iter().flat_map(|namespace| namespace.labels.iter());
        let labels: Labels = own.chain([(NAMESPACE_NAME, name)]).collect();
        let requirements = selector.requirements();
        let by_name = || {
            requirements.is_empty()
                || requirements.iter().all(|one| one.key == NAMESPACE_NAME)
                    && requirements.iter().any(|one| matches!(one.test, Test::In(_) | Test::Exists))
        };
        selector.matches(&labels) && (known.is_some() || by_name())
    }

    /// A port of a named protocol: never anything without ports, as echo.
    fn is_port(&self, wanted: &PolicyPort, packet: &Packet) -> bool {
        let Some((protocol, port)) = packet.port() else { return false };
        protocol == wanted.protocol
            && match &wanted.port {
                PortMatch::Any => true,
                PortMatch::Range(first, last) => (*first..=*last).contains(&port),
                PortMatch::Named(name) => {
                    let declared = self.receiver(packet).map_or(&[][..], |pod| &pod.ports);
                    declared.iter().any(|one| is_named(one, name, protocol, port))
                }
            }
    }

    /// The pod whose names for ports count.
    fn receiver(&self, packet: &Packet) -> Option<&Pod> {
        match self.direction {
            Direction::Ingress => Some(self.subject),
            Direction::Egress => self.world.peer_pod(packet.destination),
        }
    }
}

fn is_named(declared: &ContainerPort, name: &str, protocol: Protocol, port: u16) -> bool {
    !name.is_empty() && *declared.name == *name && declared.protocol == protocol && declared.port == port
}
