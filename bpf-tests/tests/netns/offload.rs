//! Segmentation stays with the kernel: what a pod hands over as one large packet crosses the programs as one.

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Layout, Node, Routing},
    traffic::{Echo, transfer},
};

use crate::support::within;

/// Bytes that are sent.
const BYTES: usize = 16 << 20;

/// That the packets which leave the first node's pod for the second node are, on the average, `least` bytes large or
/// larger; `link` are further words about the pods' links.
fn check(routing: Routing, outcome: &str, link: Option<&str>, least: u64) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let (a, b) = (cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?);
        for pod in [&a, &b] {
            let words = link.map(|words| format!("link set eth0 {words}"));
            words.map_or(Ok(String::new()), |words| pod.netns.ip(&words))?;
        }
        let _server = Echo::start(&b.netns, &b.addresses)?;
        for address in &b.addresses {
            let before = sent(&cluster.nodes[0], outcome)?;
            transfer(&a.netns, *address, BYTES)?;
            let after = sent(&cluster.nodes[0], outcome)?;
            let average = (after.1 - before.1) / (after.0 - before.0);
            ensure!(average >= least, "{average} bytes a packet to {address}, expected {least} or more");
        }
        Ok(())
    });
}

/// Packets and bytes that `from_pod` counted.
fn sent(node: &Node, outcome: &str) -> Result<(u64, u64)> {
    let metrics = node.ferrule("metrics")?;
    let samples = metrics.as_array().context("metrics are no list")?;
    let found = samples.iter().find(|sample| sample["program"] == "from_pod" && sample["outcome"] == outcome);
    let number = |key: &str| found.and_then(|sample| sample[key].as_u64()).unwrap_or(0);
    Ok((number("packets"), number("bytes")))
}

/// Above 64 KiB for IPv6, with a hop-by-hop header that says so (RFC 2675). Where the tunnel or the underlay takes 64 KiB,
/// as most kernels' VXLAN devices do, the kernel cuts them there, after the programs.
const BIG_TCP: Option<&str> = Some("gso_max_size 185000");

#[test]
fn through_the_tunnel() {
    check(Routing::Vxlan, "overlay", None, 5_000);
}

#[test]
fn by_native_routing() {
    check(Routing::Native, "native", None, 5_000);
}

#[test]
fn of_big_tcp_through_the_tunnel() {
    check(Routing::Vxlan, "overlay", BIG_TCP, 5_000);
}

#[test]
fn of_big_tcp_by_native_routing() {
    check(Routing::Native, "native", BIG_TCP, 5_000);
}
