//! What the other plugin delivers arrives, as without us.

use anyhow::Result;
use test_kit::{
    topology::{Cluster, Layout, Pod, Routing, patience, run},
    traffic::{Echo, Protocol, probe},
};

use super::Maker;
use crate::support::{address, all_reach_all, ends, within};

/// Two pods on the first node and one on the second, by the list.
fn pods(cluster: &Cluster, maker: Maker) -> Result<[Pod; 3]> {
    let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
    let pods = [maker.add(n1, "a")?, maker.add(n1, "b")?, maker.add(n2, "c")?];
    for (pod, node) in pods.iter().zip([n1, n1, n2]) {
        cluster.publish(pod, node)?;
    }
    Ok(pods)
}

fn check(maker: Maker, routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let [a, b, c] = &pods(cluster, maker)?;
        let all = ends(cluster, &[a, b, c]);
        match routing {
            Routing::Native => all_reach_all(&all)?,
            _ => {
                // By VXLAN, what a bridge's pod sends to another node itself is not encapsulated, and refused there.
                all_reach_all(&all[..3])?;
                all_reach_all(&[(a).into(), (b).into(), (&cluster.nodes[0]).into()])?;
            }
        }
        outside(cluster, a)
    });
}

fn outside(cluster: &Cluster, pod: &Pod) -> Result<()> {
    let (outside, node) = (&cluster.underlay.netns, &cluster.nodes[0]);
    for (cidr, address) in node.pod_cidrs.iter().zip(&node.addresses) {
        outside.ip(&format!("route add {cidr} via {address}"))?;
    }
    let gateways = cluster.underlay.gateways(1);
    let _servers = (Echo::start(outside, &gateways)?, Echo::start(&pod.netns, &pod.addresses)?);
    for protocol in Protocol::ALL {
        for gateway in &gateways {
            probe(&pod.netns, *gateway, protocol)?;
        }
        for address in &pod.addresses {
            probe(outside, *address, protocol)?;
        }
    }
    Ok(())
}

#[test]
fn pods_of_a_bridge_reach_everyone_by_native_routing() {
    check(Maker::Bridge, Routing::Native);
}

#[test]
fn pods_of_a_bridge_reach_everyone_by_vxlan() {
    check(Maker::Bridge, Routing::Vxlan);
}

#[test]
fn pods_of_ptp_reach_everyone_by_native_routing() {
    check(Maker::Ptp, Routing::Native);
}

#[test]
fn pods_of_ptp_reach_everyone_by_vxlan() {
    check(Maker::Ptp, Routing::Vxlan);
}

#[test]
fn neighbours_forgotten_are_found_again_across_a_bridge() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b) = (Maker::Bridge.add(node, "a")?, Maker::Bridge.add(node, "b")?);
        let _servers = Echo::start(&b.netns, &b.addresses)?;
        for v4 in [true, false] {
            let to = address(&b, v4)?;
            probe(&a.netns, to, Protocol::Tcp)?;
            a.netns.ip("neigh flush dev eth0")?;
            b.netns.ip("neigh flush dev eth0")?;
            probe(&a.netns, to, Protocol::Tcp)?;
        }
        Ok(())
    });
}

#[test]
fn multicast_arrives_across_a_bridge() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (a, _b) = (Maker::Bridge.add(node, "a")?, Maker::Bridge.add(node, "b")?);
        // All nodes: everyone answers, the asker itself first.
        let mut ping = a.netns.command("ping");
        let deadline = patience(std::time::Duration::from_secs(3)).as_secs().to_string();
        let answers = run(ping.args(["-6", "-c", "2", "-i", "0.3", "-w", &deadline, "ff02::1%eth0"]))?;
        anyhow::ensure!(answers.contains("duplicates"), "{answers}");
        Ok(())
    });
}
