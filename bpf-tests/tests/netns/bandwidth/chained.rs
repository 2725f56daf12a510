//! Limits that the CNI project's `bandwidth` plugin sets, chained after ours, beside TCX.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use test_kit::topology::{Layout, Netns, Node, Pod, Routing, until};

use super::{limits, limits_hold};
use crate::support::within;

#[test]
fn by_vxlan() {
    check(Routing::Vxlan);
}

#[test]
fn by_native_routing() {
    check(Routing::Native);
}

fn check(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let limited = limited(node)?;
        node.check(&limited)?;
        limits_hold(cluster, &limited)?;
        bandwidth(node, "DEL", &limited.netns, &limited.result)?;
        node.del(&limited)?;
        // Socket programs are the node's, and have links of their own.
        let of_device = |name: &std::ffi::OsStr| !name.to_string_lossy().starts_with("cgroup-");
        let links = || std::fs::read_dir(node.pins().join("links")).ok();
        let left = || links().map(|links| links.flatten().filter(|link| of_device(&link.file_name())).count());
        let expected = if routing == Routing::Vxlan { 4 } else { 2 };
        until("the pod's links to be unpinned", left, |left| *left == Some(expected)).map(drop)
    });
}

/// A pod whose runtime asked for limits, through both plugins.
fn limited(node: &Node) -> Result<Pod> {
    let netns = Netns::new(&format!("{}-limited", node.netns.name()))?;
    let ours = node.invocation("ADD", "limited", &netns.path()).with("runtimeConfig", limits());
    let result = ours.run(&node.netns)?;
    bandwidth(node, "ADD", &netns, &result).context("the chained plugin")?;
    Pod::new("limited", netns, result)
}

fn bandwidth(node: &Node, command: &str, netns: &Netns, previous: &Value) -> Result<()> {
    let mut call = node.invocation(command, "limited", &netns.path());
    call.plugin = Some("/usr/lib/cni/bandwidth".into());
    call.config = json!({
        "cniVersion": "1.0.0", "name": "ferrule", "type": "bandwidth", "runtimeConfig": limits(),
        "prevResult": previous.as_object().map(|_| { let mut p = previous.clone(); p["cniVersion"] = json!("1.0.0"); p }),
    });
    call.run(&node.netns).map(drop)
}
