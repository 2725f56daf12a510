//! Random pairs of states: every moment between them treats each address as one of the two does.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnetwork::IpNetwork;
use proptest::prelude::*;

use super::*;
use crate::desired::{Forwarding, LOCAL, PeerKind, Target, assign};

/// A state before it has indices: nodes by number (with a version that tells entries apart), who owns what.
#[derive(Debug, Clone)]
struct Sketch {
    nodes: BTreeMap<u8, u32>,
    peers: Vec<(u8, u8)>,
    prefixes: Vec<(usize, u8)>,
    cluster: Vec<usize>,
}

const PREFIXES: [&str; 8] = [
    "10.0.0.0/28",
    "10.0.0.0/29",
    "10.0.0.8/29",
    "10.0.0.0/30",
    "10.0.0.4/30",
    "10.0.0.12/30",
    "10.0.0.2/31",
    "10.0.0.5/32",
];

fn sketch() -> impl Strategy<Value = Sketch> {
    (
        prop::collection::btree_map(1..5_u8, 1..3_u32, 0..4),
        prop::collection::vec((0..16_u8, 0..5_u8), 0..8),
        prop::collection::vec((0..PREFIXES.len(), 0..5_u8), 0..8),
        prop::collection::vec(0..PREFIXES.len(), 0..4),
    )
        .prop_map(|(nodes, peers, prefixes, cluster)| Sketch { nodes, peers, prefixes, cluster })
}

fn address(low: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, low])
}

fn entry(node: u8, version: u32) -> NodeEntry {
    NodeEntry {
        forwarding: Forwarding::Vxlan,
        ifindex: 7,
        mtu: version,
        tunnel: Some(IpAddr::from([192, 0, 2, node])),
        source: None,
        uplink: None,
        next_hop_v4: None,
        next_hop_v6: None,
        internal_v4: None,
        internal_v6: None,
    }
}

fn remote(sketch: &Sketch, observed: &Remote) -> Remote {
    let names: BTreeMap<u8, String> = sketch.nodes.keys().map(|node| (*node, node.to_string())).collect();
    let wanted = sketch.nodes.iter().map(|(node, version)| (&*names[node], entry(*node, *version))).collect();
    let indices = assign(&wanted, &observed.nodes, &BTreeSet::new(), 100);
    let index = |node: u8| if node == 0 { Some(LOCAL) } else { indices.get(names.get(&node)?.as_str()).copied() };
    let prefix = |at: usize| -> IpNetwork { PREFIXES[at].parse().unwrap() };
    let peer = |node: u8| Some(Peer { node: index(node)?, kind: PeerKind::Pod });
    Remote {
        nodes: wanted.iter().map(|(name, entry)| (indices[name], entry.clone())).collect(),
        peers: sketch.peers.iter().filter_map(|(low, node)| Some((address(*low), peer(*node)?))).collect(),
        prefixes: sketch.prefixes.iter().filter_map(|(at, node)| Some((prefix(*at), index(*node)?))).collect(),
        cluster_cidrs: sketch.cluster.iter().map(|at| prefix(*at)).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn each_step_leaves_every_address_as_before_or_as_after(before in sketch(), after in sketch()) {
        let observed = remote(&before, &Remote::default());
        let desired = remote(&after, &observed);
        let mut state = observed.clone();
        for step in plan(&observed, &desired) {
            if let Step::SetNode(index, _) = &step {
                prop_assert!(!observed.nodes.contains_key(index), "{} is edited in place", step);
            }
            step.apply(&mut state);
            for low in 0..=16 {
                let now = state.resolve(address(low));
                let allowed = [observed.resolve(address(low)), desired.resolve(address(low))];
                prop_assert!(allowed.contains(&now), "{step}: {} is {now:?}, not of {allowed:?}", address(low));
                if let Target::Peer(Peer { node, .. }) | Target::Prefix(node) = now {
                    prop_assert!(node == LOCAL || state.nodes.contains_key(&node), "{step}: node {node} has no entry");
                }
            }
        }
        prop_assert_eq!(state, desired);
    }
}
