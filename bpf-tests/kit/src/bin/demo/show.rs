//! What the demo prints beside its matrix.

use std::process::Command;

use anyhow::Result;
use test_kit::topology::{Cluster, Node, Pod, binary, run};

/// The cluster as a picture.
pub fn topology(cluster: &Cluster, pods: &[(usize, Pod)]) {
    println!("\n{}", cluster.underlay.netns.name());
    println!("│  a bridge: what lies between the nodes");
    for (number, node) in cluster.nodes.iter().enumerate() {
        let join = |words: Vec<String>| words.join(", ");
        println!("├─ node {}: {}", node.name, join(node.addresses.iter().map(ToString::to_string).collect()));
        println!("│  pod CIDRs {}", join(node.pod_cidrs.clone()));
        for (_, pod) in pods.iter().filter(|(at, _)| *at == number) {
            println!("│  └─ pod {}: {}", pod.name, join(pod.addresses.iter().map(ToString::to_string).collect()));
        }
    }
    println!(
        "Nodes are connected by VXLAN; each node and each pod is a network namespace, and each node has an agent."
    );
}

/// What a node's programs know, as bpftool reads it.
pub fn maps(node: &Node) -> Result<()> {
    for (name, what) in [("fr_endpoints", "pods of this node"), ("fr_peers", "pods of other nodes, and nodes")] {
        let path = node.maps()?.join(name);
        println!("\n$ bpftool map dump pinned {}   # {what}", path.display());
        let text = run(Command::new("bpftool").args(["map", "dump", "pinned"]).arg(path))?;
        let lines: Vec<_> = text.lines().collect();
        lines.iter().take(LINES).for_each(|line| println!("{line}"));
        if lines.len() > LINES {
            println!("… {} further lines", lines.len() - LINES);
        }
    }
    Ok(())
}

/// How much of a map is shown.
const LINES: usize = 24;

/// How to look around in a cluster that stays.
pub fn looking_around(cluster: &Cluster, pods: &[(usize, Pod)]) {
    let node = &cluster.nodes[0];
    let ferrule = binary("ferrule").map_or_else(|_| "ferrule".into(), |path| path.display().to_string());
    let (Some((_, from)), Some((_, to))) = (pods.first(), pods.last()) else { return };
    println!("\nEverything stays. As root, look around:");
    for socket in cluster.nodes.iter().map(Node::socket) {
        println!("  {ferrule} --socket {} status", socket.display());
    }
    for command in ["endpoint list", "node list", "map dump fr_peers", "metrics"] {
        println!("  {ferrule} --socket {} {command}", node.socket().display());
    }
    for address in &to.addresses {
        println!("  nsenter --net={} ping {address}", from.netns.path().display());
    }
    println!("  nsenter --net={} ip route", node.netns.path().display());
    println!("  less {}", node.folder().join("agent.log").display());
    println!("and remove it: cargo xtask demo --clean");
}
