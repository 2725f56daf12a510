//! CHECK sees each kind of damage.

use std::process::Command;

use anyhow::{Context, Result};
use bpf_tests::topology::{Cluster, Layout, Node, Pod, run};

use crate::support::{address, says, within};

/// That CHECK is content before some damage, and names it after.
fn check(damage: impl FnOnce(&Cluster, &Node, &Pod, &str) -> Result<()>, words: &[&str]) {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (pod, other) = (node.add("a")?, node.add("b")?);
        node.check(&pod)?;
        let link = host_link(&pod)?;
        damage(cluster, node, &pod, &link)?;
        says(node.check(&pod), words)?;
        node.check(&other).context("the other pod")
    });
}

/// The host side's name.
fn host_link(pod: &Pod) -> Result<String> {
    let interfaces = pod.result["interfaces"].as_array().context("ADD named no interfaces")?;
    let host = interfaces.iter().find(|interface| interface["sandbox"].is_null() || interface["sandbox"] == "");
    Ok(host.and_then(|host| host["name"].as_str()).context("ADD named no host side")?.to_owned())
}

fn hex(bytes: &[u8]) -> Vec<String> {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    let delete = |node: &Node, key: Vec<String>| {
        let mut bpftool = Command::new("bpftool");
        bpftool.args(["map", "delete", "pinned"]).arg(node.maps()?.join("fr_endpoints")).args(["key", "hex"]);
        run(bpftool.args(key)).map(drop)
    };
    check(
        |_, node, pod, _| match address(pod, false)? {
            std::net::IpAddr::V6(ip) => delete(node, hex(&ip.octets())),
            std::net::IpAddr::V4(ip) => delete(node, hex(&ip.to_ipv6_mapped().octets())),
        },
        &["fr_endpoints has no entry for fd00:244:1:"],
    );
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
