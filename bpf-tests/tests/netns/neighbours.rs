//! A flushed neighbour table heals.

use anyhow::{Result, ensure};
use test_kit::{
    topology::{Layout, Routing},
    traffic::Ping,
};

use crate::support::{all_reach_all, ends, within};

fn check(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let (a, b) = (cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?);
        for netns in [&a.netns, &b.netns, &cluster.nodes[0].netns, &cluster.nodes[1].netns] {
            // The permanent entries, too: `flush all` leaves those.
            for line in netns.ip("neigh show nud all")?.lines().filter(|line| line.contains("lladdr")) {
                let words: Vec<_> = line.split_whitespace().collect();
                if let [address, "dev", device, ..] = words[..] {
                    netns.ip(&format!("neigh del {address} dev {device}"))?;
                }
            }
        }
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

#[test]
fn by_vxlan() {
    check(Routing::Vxlan);
}

#[test]
fn by_native_routing() {
    check(Routing::Native);
}

#[test]
fn a_ping_of_the_gateway_reaches_nobody_but_its_neighbour_entry_is_answered() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let pod = node.add("a")?;
        pod.netns.ip("neigh flush all")?;
        pod.netns.ip("neigh del 169.254.1.1 dev eth0")?;
        let answered = || -> Result<u64> { node.count("from_pod", "answered") };
        let before = answered()?;
        for address in &node.addresses {
            Ping::to(*address).once(&pod.netns)?;
        }
        ensure!(answered()? > before, "the gateway was not asked for");
        Ok(())
    });
}
