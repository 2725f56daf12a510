//! The order of steps, state by state.

use super::*;
use crate::desired::{Forwarding, PeerKind};

fn entry(mtu: u32) -> NodeEntry {
    NodeEntry {
        forwarding: Forwarding::Vxlan,
        ifindex: 7,
        mtu,
        tunnel: None,
        source: None,
        uplink: None,
        next_hop_v4: None,
        next_hop_v6: None,
        internal_v4: None,
        internal_v6: None,
    }
}

/// Words of `INDEX=MTU` (a node), `PREFIX>INDEX`, `ADDRESS>INDEX` (a peer) and `PREFIX` (a cluster CIDR).
fn remote(text: &str) -> Remote {
    let mut remote = Remote::default();
    for word in text.split_whitespace() {
        if let Some((index, mtu)) = word.split_once('=') {
            remote.nodes.insert(index.parse().unwrap(), entry(mtu.parse().unwrap()));
        } else if let Some((prefix, index)) = word.split_once('>') {
            let index = index.parse().unwrap();
            match prefix.parse::<IpAddr>() {
                Ok(address) => _ = remote.peers.insert(address, Peer { node: index, kind: PeerKind::Pod }),
                Err(_) => _ = remote.prefixes.insert(prefix.parse().unwrap(), index),
            }
        } else {
            remote.cluster_cidrs.insert(word.parse().unwrap());
        }
    }
    remote
}

fn check(observed: &str, desired: &str, expected: &[&str]) {
    let (observed, desired) = (remote(observed), remote(desired));
    let steps = plan(&observed, &desired);
    assert_eq!(steps.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{observed:#?}\n{desired:#?}");
    let mut state = observed;
    steps.iter().for_each(|step| step.apply(&mut state));
    assert_eq!(state, desired);
}

#[test]
fn equal_states_need_no_step() {
    check("1=1450 10.1.0.0/24>1 10.1.0.7>1 10.0.0.0/8", "1=1450 10.1.0.0/24>1 10.1.0.7>1 10.0.0.0/8", &[]);
}

#[test]
fn a_node_is_there_before_what_names_it() {
    check(
        "",
        "1=1450 10.1.0.0/24>1 10.1.0.7>1 10.0.0.0/8",
        &["node 1: set", "peer 10.1.0.7: node 1", "prefix 10.1.0.0/24: node 1", "cluster CIDR 10.0.0.0/8: set"],
    );
}

#[test]
fn a_node_goes_after_what_named_it() {
    check(
        "1=1450 10.1.0.0/24>1 10.1.0.7>1 10.0.0.0/8",
        "",
        &["cluster CIDR 10.0.0.0/8: remove", "prefix 10.1.0.0/24: remove", "peer 10.1.0.7: remove", "node 1: remove"],
    );
}

#[test]
fn a_changed_node_moves_its_peers_and_prefixes_to_its_new_index() {
    check(
        "1=1450 10.1.0.0/24>1 10.1.0.7>1",
        "2=1400 10.1.0.0/24>2 10.1.0.7>2",
        &["node 2: set", "peer 10.1.0.7: node 2", "prefix 10.1.0.0/24: node 2", "node 1: remove"],
    );
}

#[test]
fn longer_prefixes_are_set_first_and_removed_last() {
    check(
        "1=1 2=2 10.0.0.0/8>1",
        "1=1 2=2 10.0.0.0/8>2 10.1.0.0/16>1 10.1.1.0/24>2",
        &["prefix 10.1.1.0/24: node 2", "prefix 10.1.0.0/16: node 1", "prefix 10.0.0.0/8: node 2"],
    );
    check(
        "1=1 10.0.0.0/8>1 10.1.0.0/16>1 10.1.1.0/24>1",
        "1=1",
        &["prefix 10.0.0.0/8: remove", "prefix 10.1.0.0/16: remove", "prefix 10.1.1.0/24: remove"],
    );
}
