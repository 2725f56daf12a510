//! How programs are put on the devices that stay: by TCX links or by clsact filters, one for each hook, whatever was there
//! before.

use anyhow::{Result, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use test_kit::{
    topology::{Cluster, Layout, Node, Prefix, Routing, run, until},
    traffic::{Flow, Ping},
};

use crate::support::{address, all_reach_all, ends, says};

/// The devices that stay, and the programs on what they receive and what they send.
const DEVICES: [(&str, [&str; 2]); 2] =
    [("eth0", ["from_netdev", "to_netdev"]), ("ferrule-vxlan", ["from_overlay", "to_overlay"])];

const TCX: &[&str] = &["--attach", "tcx"];
const CLSACT: &[&str] = &["--attach", "clsact"];

/// TCX came with Linux 6.6.
fn kernel_has_tcx() -> Result<bool> {
    Ok(crate::preflight::kernel()? >= (6, 6))
}

/// What runs on a hook by TCX, and what by clsact.
fn programs(node: &Node, device: &str, ingress: bool) -> Result<(Vec<String>, Vec<String>)> {
    let hook = if ingress { TcAttachType::Ingress } else { TcAttachType::Egress };
    let tcx = node.netns.enter(|| SchedClassifier::query_tcx(device, hook))?;
    let tcx = match tcx {
        Ok((_, programs)) => programs.iter().filter_map(|one| Some(one.name_as_str()?.to_owned())).collect(),
        Err(error) if kernel_has_tcx()? => return Err(error.into()),
        Err(_) => Vec::new(),
    };
    let mut tc = node.netns.command("tc");
    let text = run(tc.args(["filter", "show", "dev", device, if ingress { "ingress" } else { "egress" }]))?;
    // `filter protocol all pref 1 bpf chain 0 handle 0x1 from_netdev direct-action …`
    let names = text.lines().filter_map(|line| Some(line.split_once(" handle 0x")?.1.split(' ').nth(1)?.to_owned()));
    Ok((tcx, names.collect()))
}

/// That each hook has its program once, by the way that `arguments` name.
fn each_hook_has_one(node: &Node, arguments: &[&str]) -> Result<()> {
    let by_tcx = arguments == TCX || (arguments.is_empty() && kernel_has_tcx()?);
    let links = node.netns.links()?;
    // Native routing has no overlay device.
    for (device, [ingress, egress]) in DEVICES.into_iter().filter(|(device, _)| links.iter().any(|l| l == device)) {
        for (wanted, is_ingress) in [(ingress, true), (egress, false)] {
            let found = programs(node, device, is_ingress)?;
            let one = vec![wanted.to_owned()];
            let expected = if by_tcx { (one, vec![]) } else { (vec![], one) };
            ensure!(found == expected, "{device}: (by TCX, by clsact) {found:?} and not {expected:?}");
        }
    }
    Ok(())
}

fn in_cluster(routing: Routing, test: impl FnOnce(&Cluster) -> Result<()>) {
    let layout = Layout { routing, ..Layout::default() };
    let cluster = Cluster::prepare(Prefix::of_a_test(), &layout).expect("the cluster is made");
    if let Err(error) = test(&cluster) {
        panic!("{error:#}\n\n{}", cluster.describe());
    }
}

fn start(cluster: &Cluster, arguments: &[&str]) -> Result<()> {
    cluster.nodes.iter().try_for_each(|node| node.start_with(arguments))
}

/// Starts with one way, and under traffic again with each of the others.
fn switch(routing: Routing, ways: &[&[&str]]) {
    in_cluster(routing, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        start(cluster, ways[0])?;
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        each_hook_has_one(n1, ways[0])?;
        let server = test_kit::traffic::Echo::start(&b.netns, &b.addresses)?;
        for way in &ways[1..] {
            let to = [address(&b, true)?, address(&b, false)?];
            let flows: Vec<_> = to.iter().map(|to| Flow::start(&a.netns, *to)).collect::<Result<_>>()?;
            let pings: Vec<_> = to.iter().map(|to| Ping::to(*to).many(&a.netns, 300)).collect::<Result<_>>()?;
            for node in [n1, n2] {
                node.stop()?;
                node.start_with(way)?;
            }
            for ping in pings {
                let (sent, answered) = ping.end()?;
                ensure!(sent == answered, "{way:?}: {answered} of {sent} pings were answered");
            }
            for flow in flows {
                flow.end()?;
            }
            for node in [n1, n2] {
                each_hook_has_one(node, way)?;
            }
        }
        drop(server);
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

#[test]
fn a_restart_by_the_same_way_leaves_one_program_on_each_hook() {
    switch(Routing::Native, &[CLSACT, CLSACT]);
}

#[test]
fn from_one_way_to_the_other_no_packet_is_lost_and_one_program_is_left() {
    if kernel_has_tcx().expect("the kernel has a release") {
        switch(Routing::Vxlan, &[CLSACT, TCX, CLSACT]);
        return;
    }
    // There is no other way, and the agent says so.
    in_cluster(Routing::Native, |cluster| {
        let node = &cluster.nodes[0];
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
        says(node.start_with(TCX), &["--attach tcx", release.trim(), "6.6", "--attach clsact"])?;
        node.start_with(CLSACT)?;
        node.add("a")?;
        each_hook_has_one(node, CLSACT)
    });
}

#[test]
fn anothers_filter_stays_and_ours_stands_behind_it() {
    in_cluster(Routing::Native, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let tc = |words: &str| run(n1.netns.command("tc").args(words.split_whitespace()));
        tc("qdisc add dev eth0 clsact")?;
        // One instruction of classic BPF: no match, on to the next filter.
        let mut other = n1.netns.command("tc");
        other.args("filter add dev eth0 ingress protocol all prio 1 handle 1 bpf bytecode".split(' '));
        run(other.args(["1,6 0 0 0,", "classid", "1:1"]))?;
        let one_of_ours = || {
            let found = tc("filter show dev eth0 ingress")?;
            let is_one = found.matches("direct-action").count() == 1 && found.contains("pref 2 bpf");
            ensure!(is_one && found.contains("bytecode"), "{found}");
            Ok(())
        };
        start(cluster, CLSACT)?;
        one_of_ours()?;
        n1.kill()?;
        n1.start_with(CLSACT)?;
        one_of_ours()?;
        let (a, b) = (n1.add("a")?, n2.add("b")?);
        all_reach_all(&ends(cluster, &[&a, &b]))?;
        n1.stop()?;
        n1.cleanup()?;
        let left = tc("filter show dev eth0 ingress")?;
        ensure!(left.contains("bytecode") && !left.contains("direct-action"), "{left}");
        Ok(())
    });
}

#[test]
fn a_device_that_is_no_longer_used_keeps_nothing_of_ours() {
    in_cluster(Routing::Native, |cluster| {
        let node = &cluster.nodes[0];
        node.netns.ip("link add spare type veth peer name spare1")?;
        let mut ways = vec![CLSACT];
        ways.extend(kernel_has_tcx()?.then_some(TCX));
        for way in ways {
            let with = |devices| [way, &["--devices", devices]].concat();
            node.start_with(&with("eth0,spare"))?;
            let (tcx, clsact) = programs(node, "spare", true)?;
            ensure!(tcx.len() + clsact.len() == 1, "{way:?}: {tcx:?} {clsact:?}");
            node.stop()?;
            node.start_with(&with("eth0"))?;
            for ingress in [true, false] {
                // The kernel frees an unpinned link a little later.
                let left = || programs(node, "spare", ingress).ok();
                until(&format!("nothing to be left by {way:?}"), left, |left| *left == Some((vec![], vec![])))?;
            }
            node.stop()?;
        }
        Ok(())
    });
}
