//! CHECK sees each kind of damage.

use std::{net::IpAddr, process::Command};

use anyhow::{Context, Error, Result};
use test_kit::topology::{Cluster, Layout, Node, Pod, run, until};

use crate::support::{address, says, within};

/// That CHECK is content before some damage, and names it after.
fn check(damage: impl FnOnce(&Cluster, &Node, &Pod, &str) -> Result<()>, words: &[&str]) {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (pod, other) = (node.add("a")?, node.add("b")?);
        node.check(&pod)?;
        let link = pod.host_link()?;
        damage(cluster, node, &pod, &link)?;
        says(node.check(&pod), words)?;
        node.check(&other).context("the other pod")
    });
}

#[test]
fn a_host_link_that_is_gone() {
    check(|_, node, _, link| node.netns.ip(&format!("link del {link}")).map(drop), &["eth0"]);
}

#[test]
fn a_host_link_that_is_down() {
    check(|_, node, _, link| node.netns.ip(&format!("link set {link} down")).map(drop), &["is down"]);
}

#[test]
fn a_pod_link_that_is_down() {
    check(|_, _, pod, _| pod.netns.ip("link set eth0 down").map(drop), &["eth0"]);
}

#[test]
fn an_address_that_is_gone() {
    check(|_, _, pod, _| pod.netns.ip("addr flush dev eth0 scope global").map(drop), &["10.244.1."]);
}

#[test]
fn a_route_that_is_gone_in_the_pod() {
    check(|_, _, pod, _| pod.netns.ip("-6 route del default").map(drop), &["route"]);
}

#[test]
fn a_route_that_is_gone_on_the_node() {
    check(
        |_, node, pod, link| node.netns.ip(&format!("route del {} dev {link}", address(pod, true)?)).map(drop),
        &["no route to", "10.244.1."],
    );
}

#[test]
fn a_program_that_is_gone() {
    let detach = |node: &Node, link: &str, hook: &str| {
        run(node.netns.command("tc").args(["filter", "del", "dev", link, hook])).map(drop)
    };
    check(|_, node, _, link| detach(node, link, "ingress"), &["from_pod is not attached"]);
    check(|_, node, _, link| detach(node, link, "egress"), &["to_pod is not attached"]);
}

#[test]
fn a_map_entry_that_is_gone() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let pod = node.add("a")?;
        let key = match address(&pod, false)? {
            IpAddr::V6(ip) => ip.octets(),
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        };
        // The agent mends it when it looks after its pods, such as just after the ADD: CHECK sees it in between.
        let damaged = || {
            let mut bpftool = Command::new("bpftool");
            bpftool.args(["map", "delete", "pinned"]).arg(node.maps()?.join("fr_endpoints"));
            run(bpftool.args(["key", "hex"]).args(key.map(|octet| format!("{octet:02x}"))))?;
            says(node.check(&pod), &["fr_endpoints has no entry for fd00:244:1:"])
        };
        until("CHECK to see it", || damaged().map_err(|error| format!("{error:#}")), Result::is_ok)?.map_err(Error::msg)
    });
}

#[test]
fn a_lease_that_is_gone() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let pod = node.add("a")?;
        node.invocation("DEL", "a", "".as_ref()).run(&node.netns)?;
        says(node.check(&pod), &["a"])
    });
}
