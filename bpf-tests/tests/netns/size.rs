//! What is too large is answered, and what fits arrives.

use anyhow::{Context, ensure};
use bpf_tests::{
    topology::{Families, Layout, Routing},
    traffic::Ping,
};

use crate::support::within;

/// That the pods' MTU is as expected, packets of that size reach another node, and larger ones are refused where they
/// are made or answered with what fits.
fn check(layout: &Layout, expected: u64) {
    within(layout, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b) = (node.add("a")?, cluster.nodes[1].add("b")?);
        let host = a.host_link()?;
        let mtu = node.ferrule("status")?["mtu"].as_u64().context("status has no mtu")?;
        ensure!(mtu == expected, "pods have {mtu} and not {expected}");
        for address in &b.addresses {
            let headers = if address.is_ipv4() { 28 } else { 48 };
            let size = u32::try_from(mtu)? - headers;
            Ping::to(*address).size(size).once(&a.netns)?;
            Ping::to(*address).size(size).once(&node.netns)?;
            ensure!(Ping::to(*address).size(size + 1).once(&a.netns).is_err(), "a packet above the MTU was answered");
            // A pod whose veth carries more than the path to the other node learns what fits.
            node.netns.ip(&format!("link set {host} mtu 9000"))?;
            a.netns.ip("link set eth0 mtu 9000")?;
            ensure!(
                Ping::to(*address).size(size + 600).once(&a.netns).is_err(),
                "a packet above the path was answered"
            );
            let route = a.netns.ip(&format!("route get {address}"))?;
            ensure!(route.contains(&format!("mtu {mtu}")), "the pod was not told of the path's MTU {mtu}: {route}");
            a.netns.ip(&format!("link set eth0 mtu {mtu}"))?;
            node.netns.ip(&format!("link set {host} mtu {mtu}"))?;
        }
        Ok(())
    });
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
