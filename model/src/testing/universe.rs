//! What random clusters are made of: three nodes, three namespaces, a dozen pods with both families, and the addresses
//! that packets and blocks are about.

use std::{net::IpAddr, sync::Arc};

use ipnetwork::IpNetwork;
use proptest::{prelude::*, sample::select};

use crate::{
    objects::{Node, ObjectName, Protocol},
    selector::Labels,
};

/// The nodes; the first one looks at the cluster.
pub(super) const NODES: [&str; 3] = ["a", "b", "c"];
/// The namespaces.
pub(super) const NAMESPACES: [&str; 3] = ["x", "y", "z"];
/// How many pods have names.
pub(super) const PODS: usize = 12;
/// Destination ports: the neighbours of ranges' ends among them.
pub(super) const PORTS: [u16; 7] = [79, 80, 81, 95, 96, 8080, 65535];
/// The names of ports.
pub(super) const PORT_NAMES: [&str; 2] = ["http", "dns"];

/// A node's object.
pub(super) fn node(number: usize) -> Node {
    let parse = |text: String| text.parse().ok();
    Node {
        name: NODES[number].into(),
        labels: Labels::default(),
        created: 0,
        pod_cidrs: [format!("10.1.{number}.0/24"), format!("fd00:1:0:{number}::/64")]
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
        start_taint: false,
        internal_ips: [format!("192.168.0.{}", number + 1), format!("fd00:2::{}", number + 1)]
            .into_iter()
            .filter_map(parse)
            .collect(),
    }
}

/// The node of the pod with a number: half of them are on the first.
pub(super) const fn node_of(pod: usize) -> usize {
    match pod % 4 {
        0 | 1 => 0,
        other => other - 1,
    }
}

/// The name of the pod with a number.
pub(super) fn pod_name(pod: usize) -> ObjectName {
    ObjectName::new(NAMESPACES[pod % NAMESPACES.len()], Arc::from(format!("p{pod}")))
}

/// The addresses of a slot of a node's: pods outnumber a node's slots by few, so that addresses change hands.
pub(super) fn addresses(node: usize, slot: usize) -> [IpAddr; 2] {
    let (third, last) = (u8::try_from(node).unwrap_or(0), u8::try_from(slot).unwrap_or(0) + 5);
    [IpAddr::from([10, 1, third, last]), IpAddr::from([0xfd00, 1, 0, third.into(), 0, 0, 0, last.into()])]
}

/// An address in the slots of this node.
pub(super) fn local(v6: bool) -> impl Strategy<Value = IpAddr> {
    (0..6_usize).prop_map(move |slot| addresses(0, slot)[usize::from(v6)])
}

/// An address of a pod, a node, or neither.
pub(super) fn anyone(v6: bool) -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        4 => (0..NODES.len(), 0..6_usize).prop_map(move |(node, slot)| addresses(node, slot)[usize::from(v6)]),
        1 => (0..NODES.len()).prop_map(move |number| {
            let all = node(number).internal_ips;
            all.into_iter().find(|ip| ip.is_ipv6() == v6).unwrap_or(addresses(0, 0)[usize::from(v6)])
        }),
        1 => outside().prop_map(move |ip| if ip.is_ipv6() == v6 { ip } else { mirror(ip) }),
    ]
}

/// Addresses that are nobody's.
const OUTSIDE: [[&str; 2]; 3] =
    [["192.168.7.1", "fd00:7::1"], ["172.17.1.5", "2001:db8:0:1::5"], ["8.8.8.8", "2001:db8:8::8"]];

/// An address that is nobody's.
pub(super) fn outside() -> impl Strategy<Value = IpAddr> {
    select(OUTSIDE.concat()).prop_map(|text| text.parse().unwrap_or(IpAddr::from([8, 8, 8, 8])))
}

/// The one of the other family.
fn mirror(ip: IpAddr) -> IpAddr {
    let text = ip.to_string();
    let pair = OUTSIDE.iter().find(|pair| pair.contains(&text.as_str()));
    pair.and_then(|pair| pair[usize::from(ip.is_ipv4())].parse().ok()).unwrap_or(ip)
}

/// Blocks: all, of pods, of half of them, of one, of nodes, of others; some with host bits.
pub(super) fn block() -> impl Strategy<Value = IpNetwork> {
    const BLOCKS: [&str; 14] = [
        "0.0.0.0/0",
        "::/0",
        "10.1.0.0/16",
        "fd00:1::/32",
        "10.1.1.0/24",
        "10.1.1.9/24",
        "fd00:1:0:1::/64",
        "10.1.0.4/30",
        "10.1.0.6/32",
        "10.1.1.6/32",
        "fd00:1::6/128",
        "192.168.0.0/16",
        "fd00::/16",
        "172.16.0.0/12",
    ];
    select(BLOCKS.to_vec()).prop_filter_map("every block parses", |text| text.parse().ok())
}

/// A protocol that policies can name.
pub(super) fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![3 => Just(Protocol::Tcp), 2 => Just(Protocol::Udp), 1 => Just(Protocol::Sctp)]
}
