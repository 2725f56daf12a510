//! Ways too narrow for IPv6: what works goes on, what cannot work is refused in words, and all of it comes back by itself.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use test_kit::{
    topology::{Cluster, Families, Layout, Node, Prefix, binary, run, until},
    traffic::Ping,
};

use crate::support::{all_reach_all, ends, says, within};

/// Pods' IPv4 alone.
fn of_v4(all: &[IpAddr]) -> Vec<IpAddr> {
    all.iter().copied().filter(IpAddr::is_ipv4).collect()
}

fn set_underlay(cluster: &Cluster, mtu: u32) -> Result<()> {
    for (number, node) in (1..).zip(&cluster.nodes) {
        cluster.underlay.netns.ip(&format!("link set n{number} mtu {mtu}"))?;
        node.netns.ip(&format!("link set eth0 mtu {mtu}"))?;
    }
    Ok(())
}

fn overlay_mtu_is(node: &Node, mtu: u32) -> Result<()> {
    let shown = || node.netns.ip("-o link show ferrule-vxlan").unwrap_or_default();
    until(&format!("{}: the tunnel's MTU {mtu}", node.name), shown, |text| text.contains(&format!(" mtu {mtu} ")))
        .map(drop)
}

/// The device has IPv6 as it should, and no address by itself.
fn overlay_is_whole(node: &Node) -> Result<()> {
    let shown = || node.netns.ip("-6 address show dev ferrule-vxlan").unwrap_or_default();
    until("no link-local address on the tunnel", shown, |text| !text.contains("fe80::"))?;
    let failures = || {
        let findings = node.doctor().unwrap_or_default();
        findings.into_iter().filter(|finding| finding["verdict"] == "failure").collect::<Vec<_>>()
    };
    until(&format!("{}: no failure of the doctor's", node.name), failures, Vec::is_empty).map(drop)
}

#[test]
fn what_somebody_takes_from_the_tunnel_comes_back() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        n1.netns.ip("link set ferrule-vxlan mtu 1279")?;
        overlay_mtu_is(n1, 1450)?;
        overlay_is_whole(n1)?;
        n1.ferrule("doctor --fix")?;
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

#[test]
fn an_underlay_that_was_too_narrow_for_ipv6_comes_back() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        set_underlay(cluster, 1300)?;
        for node in [n1, n2] {
            overlay_mtu_is(node, 1250)?;
            let waits = || node.ferrule("status").unwrap_or_default()["waiting"].to_string();
            until("status names it", waits, |words| words.contains("pods' MTU is 1250, and IPv6 needs 1280"))?;
        }
        // Pods that are there go on, with what fits.
        for address in of_v4(&b.addresses) {
            Ping::to(address).size(1250 - 28).once(&a.netns)?;
        }
        says(n1.add("c"), &["pods' MTU is 1250, and IPv6 needs 1280", "raise the MTU"])?;
        // Whatever else breaks meanwhile is mended.
        let link = a.host_link()?;
        n1.netns.ip(&format!("link set {link} down"))?;
        until("the pod's link is mended", || Ping::to(b.addresses[0]).once(&a.netns), Result::is_ok)?.map(drop)?;
        set_underlay(cluster, 1500)?;
        for node in [n1, n2] {
            overlay_mtu_is(node, 1450)?;
            overlay_is_whole(node)?;
        }
        let d = n1.add("d")?;
        all_reach_all(&ends(cluster, &[&a, &b, &d]))
    });
}

/// IPv4 alone lives on ways of this MTU, from the start.
fn v4_alone(mtu: u32) {
    let layout = Layout { pods: Families::V4, underlay: Families::V4, mtu: Some(mtu), ..Layout::default() };
    within(&layout, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        overlay_mtu_is(n1, mtu - 50)?;
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        for address in &b.addresses {
            Ping::to(*address).size(mtu - 50 - 28).once(&a.netns)?;
        }
        Ok(())
    });
}

#[test]
fn ipv4_alone_needs_no_ipv6() {
    v4_alone(1280);
}

#[test]
fn ipv4_alone_needs_576() {
    v4_alone(626);
}

#[test]
fn a_node_with_ipv6_pods_says_from_the_start_what_is_too_narrow() {
    let layout = Layout { mtu: Some(1280), ..Layout::default() };
    let cluster = Cluster::prepare(Prefix::of_a_test(), &layout).expect("the cluster is prepared");
    let test = || -> Result<()> {
        let node = &cluster.nodes[0];
        let mut preflight = node.netns.command(binary("ferrule-agent")?);
        let found =
            run(preflight.args(["preflight", "--json", "--node-name", "n1", "--bpffs", "/sys/fs/bpf/frt-none"]))?;
        ensure!(found.contains("1230, of eth0's 1280") && found.contains("IPv6 needs 1280"), "{found}");
        node.spawn_binary("ferrule-agent")?;
        let status = || node.ferrule("status").unwrap_or_default();
        let status = until("status names it", status, |status| status["waiting"].to_string().contains("1280"))?;
        ensure!(status["ready"] == false, "{status}");
        says(node.add("a"), &["pods' MTU is 1230, and IPv6 needs 1280", "IPv4 pod CIDRs alone"])?;
        set_underlay(&cluster, 1500)?;
        overlay_mtu_is(node, 1450)?;
        let ready = || node.ferrule("status").unwrap_or_default()["ready"].clone();
        until("it is ready", ready, |ready| *ready == true)?;
        node.add("b").map(drop)
    };
    if let Err(error) = test() {
        panic!("{error:#}\n\n{}", cluster.describe());
    }
}
