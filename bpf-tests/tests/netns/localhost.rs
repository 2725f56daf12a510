//! Containers of one pod share its namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use test_kit::{
    topology::Layout,
    traffic::{Echo, Protocol, probe},
};

use crate::support::within;

#[test]
fn two_containers_of_one_pod_talk_on_localhost_and_by_their_own_address() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let pod = cluster.nodes[0].add("a")?;
        let localhost = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let all: Vec<_> = localhost.into_iter().chain(pod.addresses.iter().copied()).collect();
        let _servers = Echo::start(&pod.netns, &all)?;
        for address in all {
            for protocol in Protocol::ALL {
                probe(&pod.netns, address, protocol)?;
            }
        }
        Ok(())
    });
}
