//! What is too large is answered, and what fits arrives.

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Cluster, Families, Layout, Node, Routing, until},
    traffic::Ping,
};

use crate::support::within;

/// That the pods' MTU is as expected, packets of that size reach another node, and larger ones are refused where they
/// are made or answered with what fits.
fn check(layout: &Layout, expected: u64) {
    within(layout, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b) = (node.add("a")?, cluster.nodes[1].add("b")?);
        let mtu = status_mtu(node)?;
        ensure!(mtu == expected, "pods have {mtu} and not {expected}");
        for address in &b.addresses {
            let headers = if address.is_ipv4() { 28 } else { 48 };
            let size = u32::try_from(mtu)? - headers;
            Ping::to(*address).size(size).once(&a.netns)?;
            Ping::to(*address).size(size).once(&node.netns)?;
            ensure!(Ping::to(*address).size(size + 1).once(&a.netns).is_err(), "a packet above the MTU was answered");
        }
        shrink(cluster, layout.mtu.unwrap_or(ETHERNET), mtu)
    });
}

/// Ethernet's MTU, in bytes.
const ETHERNET: u32 = 1500;

/// That pods' MTU follows the underlay's, and that a pod from the time of a larger one learns what fits now.
fn shrink(cluster: &Cluster, underlay: u32, mtu: u64) -> Result<()> {
    let (node, b) = (&cluster.nodes[0], cluster.nodes[1].add("c")?);
    set_underlay(cluster, underlay + 1000)?;
    becomes(node, mtu + 1000)?;
    let large = node.add("large")?;
    set_underlay(cluster, underlay)?;
    becomes(node, mtu)?;
    for address in &b.addresses {
        let size = u32::try_from(mtu)? + 500;
        ensure!(Ping::to(*address).size(size).once(&large.netns).is_err(), "a packet above the path was answered");
        let route = large.netns.ip(&format!("route get {address}"))?;
        ensure!(route.contains(&format!("mtu {mtu}")), "the pod was not told of the path's MTU {mtu}: {route}");
    }
    Ok(())
}

fn set_underlay(cluster: &Cluster, mtu: u32) -> Result<()> {
    for (number, node) in (1..).zip(&cluster.nodes) {
        cluster.underlay.netns.ip(&format!("link set n{number} mtu {mtu}"))?;
        node.netns.ip(&format!("link set eth0 mtu {mtu}"))?;
    }
    Ok(())
}

fn becomes(node: &Node, mtu: u64) -> Result<()> {
    let same = |now: &Option<u64>| *now == Some(mtu);
    until(&format!("pods' MTU of {mtu}"), || status_mtu(node).ok(), same).map(drop)
}

fn status_mtu(node: &Node) -> Result<u64> {
    node.ferrule("status")?["mtu"].as_u64().context("status has no mtu")
}

#[test]
fn of_an_ipv4_tunnel() {
    check(&Layout::default(), 1450);
}

#[test]
fn of_an_ipv6_tunnel() {
    check(&Layout { underlay: Families::V6, ..Layout::default() }, 1430);
}

#[test]
fn of_native_routing() {
    check(&Layout { routing: Routing::Native, ..Layout::default() }, 1500);
}

#[test]
fn of_an_underlay_of_jumbo_frames() {
    check(&Layout { mtu: Some(4000), ..Layout::default() }, 3950);
}
