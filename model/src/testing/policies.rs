//! Random policies.

use ipnetwork::IpNetwork;
use proptest::{prelude::*, sample::select};

use super::universe::{NAMESPACES, PORT_NAMES, block, protocol};
use crate::{
    cidr,
    objects::{Direction, IpBlock, NetworkPolicy, ObjectName, PolicyPeer, PolicyPort, PolicyRule, PortMatch},
    selector::{Requirement, Selector, Test},
};

/// One of nine policies by name, of any content.
pub(super) fn policy() -> impl Strategy<Value = NetworkPolicy> {
    let name = (select(NAMESPACES.to_vec()), select(vec!["n1", "n2", "n3"]));
    let isolates = prop_oneof![
        2 => Just(vec![Direction::Ingress]),
        2 => Just(vec![Direction::Egress]),
        3 => Just(vec![Direction::Ingress, Direction::Egress]),
    ];
    let rules = || prop::collection::vec(rule(), 0..3);
    (name, pod_selector(), isolates, rules(), rules()).prop_map(|(name, pod_selector, isolates, ingress, egress)| {
        NetworkPolicy { name: ObjectName::new(name.0, name.1), pod_selector, isolates, ingress, egress }
    })
}

fn rule() -> impl Strategy<Value = PolicyRule> {
    (prop::collection::vec(peer(), 0..3), prop::collection::vec(port(), 0..3))
        .prop_map(|(peers, ports)| PolicyRule { peers, ports })
}

fn peer() -> impl Strategy<Value = PolicyPeer> {
    prop_oneof![
        2 => pod_selector().prop_map(|pods| PolicyPeer::Pods { namespaces: None, pods }),
        2 => (namespace_selector(), pod_selector())
            .prop_map(|(namespaces, pods)| PolicyPeer::Pods { namespaces: Some(namespaces), pods }),
        3 => (block(), prop::collection::vec(block(), 0..3)).prop_map(|(cidr, except)| {
            let within = |part: &IpNetwork| part.prefix() > cidr.prefix() && cidr.contains(part.network());
            PolicyPeer::Block(IpBlock { cidr, except: except.into_iter().filter(within).map(cidr::normalised).collect() })
        }),
    ]
}

fn port() -> impl Strategy<Value = PolicyPort> {
    let port = prop_oneof![
        1 => Just(PortMatch::Any),
        3 => select(vec![80, 81, 8080, 65535]).prop_map(|port| PortMatch::Range(port, port)),
        2 => select(vec![(80, 95), (81, 8080), (1, 65535), (96, 96), (8080, 65535)])
            .prop_map(|(first, last)| PortMatch::Range(first, last)),
        2 => select(PORT_NAMES.to_vec()).prop_map(|name| PortMatch::Named(name.to_owned())),
    ];
    (protocol(), port).prop_map(|(protocol, port)| PolicyPort { protocol, port })
}

fn pod_selector() -> impl Strategy<Value = Selector> {
    prop::collection::vec(requirement(), 0..3).prop_map(Selector::new)
}

/// One that asks for the name, too, once in a while.
fn namespace_selector() -> impl Strategy<Value = Selector> {
    let name = (select(NAMESPACES.to_vec()), any::<bool>()).prop_map(|(name, positive)| {
        let values = vec![name.to_owned()];
        let test = if positive { Test::In(values) } else { Test::NotIn(values) };
        Requirement { key: "kubernetes.io/metadata.name".to_owned(), test }
    });
    (prop::option::weighted(0.3, name), prop::collection::vec(requirement(), 0..2))
        .prop_map(|(name, others)| Selector::new(name.into_iter().chain(others).collect()))
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let values = || prop::collection::vec(select(vec!["1", "2", ""]).prop_map(str::to_owned), 1..3);
    let test = prop_oneof![
        4 => values().prop_map(Test::In),
        2 => values().prop_map(Test::NotIn),
        1 => Just(Test::Exists),
        1 => Just(Test::DoesNotExist),
    ];
    (select(vec!["k", "l"]), test).prop_map(|(key, test)| Requirement { key: key.to_owned(), test })
}
