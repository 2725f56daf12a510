//! What every decoded object keeps to, as the rest of the agent relies on it.

use std::net::IpAddr;

use ferrule_model::objects::{
    Direction, Identity, IpBlock, Kind, NetworkPolicy, ObjectName, PolicyPeer, PolicyPort, PortMatch,
};
use ferrule_source::decode::Object;
use ipnetwork::IpNetwork;

/// Panics where one is broken.
pub fn keeps_the_rules(identity: &Identity, object: &Object) {
    let namespaced = !matches!(identity.kind, Kind::Node | Kind::Namespace);
    assert_eq!(namespaced, !identity.name.namespace.is_empty(), "{identity}");
    is_a_name(&identity.name.name);
    if namespaced {
        is_a_name(&identity.name.namespace);
    }
    match object {
        Object::Node(node) => {
            assert_eq!((identity.kind, &node.name), (Kind::Node, &identity.name.name));
            node.internal_ips.iter().for_each(is_of_a_host);
        }
        Object::Namespace(one) => assert_eq!((identity.kind, &one.name), (Kind::Namespace, &identity.name.name)),
        Object::Pod(pod) => {
            named(identity, Kind::Pod, &pod.name);
            pod.ips.iter().for_each(is_of_a_host);
            assert!(pod.node.as_deref() != Some(""), "a node without a name");
            assert!(pod.ports.iter().all(|port| port.port != 0), "port 0 in {:?}", pod.ports);
        }
        Object::NetworkPolicy(policy) => {
            named(identity, Kind::NetworkPolicy, &policy.name);
            policy_keeps_them(policy);
        }
        Object::Service(service) => {
            named(identity, Kind::Service, &service.name);
            service.cluster_ips.iter().for_each(is_of_a_host);
            assert!(!service.headless || service.cluster_ips.is_empty(), "a headless Service with addresses");
            assert!(service.ports.iter().all(|port| port.port != 0), "port 0 in {:?}", service.ports);
        }
        Object::EndpointSlice(slice) => {
            named(identity, Kind::EndpointSlice, &slice.name);
            slice.endpoints.iter().for_each(|endpoint| is_of_a_host(&endpoint.address));
            assert!(slice.service.as_deref() != Some(""), "a Service without a name");
            assert!(slice.ports.iter().all(|port| port.port != Some(0)), "port 0 in {:?}", slice.ports);
        }
    }
}

fn named(identity: &Identity, kind: Kind, name: &ObjectName) {
    assert_eq!((identity.kind, &identity.name), (kind, name));
}

/// RFC 1123: a DNS subdomain.
fn is_a_name(name: &str) {
    let letter = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    let bytes = name.as_bytes();
    assert!((1..=253).contains(&bytes.len()), "{name:?} has the wrong length");
    assert!(letter(bytes[0]) && letter(bytes[bytes.len() - 1]), "{name:?} begins or ends wrongly");
    assert!(bytes.iter().all(|byte| letter(*byte) || b"-.".contains(byte)), "{name:?} holds what no name does");
}

fn is_of_a_host(ip: &IpAddr) {
    let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
    let no_host = ip.is_loopback() || ip.is_multicast() || ip.is_unspecified();
    assert!(!mapped && !no_host, "{ip} is no host's");
}

fn policy_keeps_them(policy: &NetworkPolicy) {
    assert!(!policy.isolates.is_empty(), "a policy for no direction");
    let egress = policy.isolates.contains(&Direction::Egress);
    assert!(egress || policy.isolates.contains(&Direction::Ingress), "{:?}", policy.isolates);
    for rule in policy.ingress.iter().chain(&policy.egress) {
        for peer in &rule.peers {
            if let PolicyPeer::Block(block) = peer {
                block_keeps_them(block);
            }
        }
        for PolicyPort { port, .. } in &rule.ports {
            match port {
                PortMatch::Range(first, last) => assert!(*first != 0 && first <= last, "{first} to {last}"),
                PortMatch::Named(name) => assert!(!name.is_empty(), "a port without a name"),
                PortMatch::Any => {}
            }
        }
    }
}

/// No host bits, and each exception a part.
fn block_keeps_them(block: &IpBlock) {
    let bare = |cidr: IpNetwork| cidr.ip() == cidr.network();
    assert!(bare(block.cidr) && block.except.iter().copied().all(bare), "{block:?} has host bits");
    let within = |part: &IpNetwork| {
        part.is_ipv4() == block.cidr.is_ipv4()
            && block.cidr.contains(part.network())
            && part.prefix() > block.cidr.prefix()
    };
    assert!(block.except.iter().all(within), "{block:?} excepts what it does not hold");
}
