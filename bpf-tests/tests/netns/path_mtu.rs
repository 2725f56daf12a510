//! Large packets across a hop that takes smaller ones only (RFC 1191, RFC 8201).

use std::net::IpAddr;

use anyhow::{Context, Result};
use test_kit::{
    topology::{Cluster, Fabric, Families, Layout, Node, Pod, Routing, until},
    traffic::{Echo, transfer},
};

use crate::support::within;

/// What the second node's link takes, in bytes.
const NARROW: u32 = 1400;

/// That pods of both nodes, and the nodes themselves, get many bytes through; the first node's pods have the MTU of
/// its own, wider link.
fn check(layout: &Layout, expected: u32) {
    within(layout, |cluster| {
        let (a, b) = (cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?);
        if layout.routing == Routing::Native {
            route_pods(cluster)?;
        }
        narrow(cluster)?;
        let _servers = [Echo::start(&a.netns, &a.addresses)?, Echo::start(&b.netns, &b.addresses)?];
        for (from, to) in [(&a, &b), (&b, &a)] {
            for address in &to.addresses {
                transfer(&from.netns, *address, 1 << 20)?;
            }
        }
        for address in &b.addresses {
            transfer(&cluster.nodes[0].netns, *address, 1 << 20)?;
        }
        if layout.routing == Routing::Vxlan {
            learns(&cluster.nodes[0], expected)?;
        }
        knows(&a, &b, expected)
    });
}

/// The second node's link, at both ends.
fn narrow(cluster: &Cluster) -> Result<()> {
    cluster.underlay.netns.ip(&format!("link set n2 mtu {NARROW}"))?;
    cluster.nodes[1].netns.ip(&format!("link set eth0 mtu {NARROW}")).map(drop)
}

/// The router knows where pods are.
fn route_pods(cluster: &Cluster) -> Result<()> {
    for node in &cluster.nodes {
        for cidr in &node.pod_cidrs {
            let via = node.addresses.iter().find(|address| address.is_ipv4() == cidr.contains('.'));
            let via = via.context("a node has no address of its pods' family")?;
            cluster.underlay.netns.ip(&format!("route add {cidr} via {via}"))?;
        }
    }
    Ok(())
}

/// The agent has heard what the router said.
fn learns(node: &Node, mtu: u32) -> Result<()> {
    let learned = || node.ferrule("node list").map(|nodes| nodes[0]["mtu"].as_u64()).unwrap_or_default();
    until("the agent to learn the path's MTU", learned, |found| *found == Some(mtu.into())).map(drop)
}

/// The sender's kernel has, too: it forgets what it was told whenever its own routes change, and is told again.
fn knows(a: &Pod, b: &Pod, mtu: u32) -> Result<()> {
    let told = |address: &&IpAddr| {
        a.netns.ip(&format!("route get {address}")).is_ok_and(|route| route.contains(&format!("mtu {mtu}")))
    };
    let untold = || {
        let untold: Vec<IpAddr> = b.addresses.iter().filter(|address| !told(address)).copied().collect();
        untold.iter().for_each(|address| drop(transfer(&a.netns, *address, 1 << 20)));
        untold
    };
    let told = until(&format!("the pod to be told of the path's MTU {mtu}"), untold, Vec::is_empty);
    told.map(drop)
}

#[test]
fn through_a_tunnel() {
    check(&Layout { fabric: Fabric::Router, ..Layout::default() }, NARROW - 50);
}

#[test]
fn by_native_routing() {
    check(&Layout { fabric: Fabric::Router, routing: Routing::Native, ..Layout::default() }, NARROW);
}

#[test]
fn through_a_tunnel_over_ipv6() {
    check(&Layout { fabric: Fabric::Router, underlay: Families::V6, ..Layout::default() }, NARROW - 70);
}
