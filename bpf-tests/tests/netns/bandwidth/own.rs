//! Limits that the agent sets itself, beside clsact: where there is no TCX, and where nobody else sets them.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use test_kit::topology::{Cluster, Invocation, Layout, Netns, Node, Pod, Prefix, Routing, patience};

use super::{limits, limits_hold};
use crate::support::says;

const CLSACT: &[&str] = &["--attach", "clsact"];

#[test]
fn by_vxlan() {
    hold(Routing::Vxlan);
}

#[test]
fn by_native_routing() {
    hold(Routing::Native);
}

fn hold(routing: Routing) {
    with(CLSACT, routing, |cluster| {
        let node = &cluster.nodes[0];
        let limited = add(node, &invocation(node, "ADD", None)?)?;
        node.check(&limited)?;
        limits_hold(cluster, &limited)?;
        // Ours outlive the agent, and so do the limits.
        node.kill()?;
        node.start_with(CLSACT)?;
        limits_hold_still(node, &limited)?;
        node.del(&limited)?;
        ensure!(devices(node)?.is_empty(), "left: {:?}", devices(node)?);
        Ok(())
    });
}

#[test]
fn a_chained_plugin_is_refused_by_name_where_there_is_no_tcx() {
    with(CLSACT, Routing::Vxlan, |cluster| {
        let node = &cluster.nodes[0];
        let call = invocation(node, "ADD", Some(json!([{"type": "ferrule-cni"}, {"type": "bandwidth"}])))?;
        let words = ["\"code\":7", "runtimeConfig.bandwidth", "05-ferrule.conflist", "`bandwidth`", "--attach clsact"];
        says(add(node, &call), if has_tcx()? { &words } else { &words[..4] })?;
        // The same pod without limits is none of its business.
        let plain = Invocation { config: without_limits(&call.config), ..call };
        node.del(&add(node, &plain)?)
    });
}

#[test]
fn where_no_plugin_is_chained_the_agent_limits_also_beside_tcx() {
    with(&[], Routing::Vxlan, |cluster| {
        let node = &cluster.nodes[0];
        let limited = add(node, &invocation(node, "ADD", Some(json!([{"type": "ferrule-cni"}])))?)?;
        limits_hold_still(node, &limited)?;
        node.del(&limited)
    });
}

/// A pod's limits are looked for when something about links or queueing disciplines changes.
#[test]
fn what_somebody_breaks_is_mended() {
    with(CLSACT, Routing::Vxlan, |cluster| {
        let node = &cluster.nodes[0];
        let limited = add(node, &invocation(node, "ADD", None)?)?;
        let host = limited.host_link()?;
        let ifb = host.replacen("fr", "fi", 1);
        for broken in [
            format!("tc qdisc del dev {host} root"),
            format!("tc qdisc replace dev {host} root handle 1: tbf rate 1gbit burst 1m latency 25ms"),
            format!("tc qdisc del dev {ifb} root"),
            format!("tc filter del dev {host} ingress pref 2"),
            format!("ip link set {ifb} down"),
            format!("ip link del {ifb}"),
        ] {
            let mut words = broken.split(' ');
            let mut command = node.netns.command(words.next().context("a command")?);
            test_kit::topology::run(command.args(words))?;
            // No event tells of a qdisc that is replaced.
            let limit = patience(Duration::from_secs(if broken.contains("replace") { 30 } else { 6 }));
            let start = Instant::now();
            while let Err(error) = limits_hold_still(node, &limited) {
                if start.elapsed() > limit {
                    bail!("{broken}: {error:#}");
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            eprintln!("{broken}: mended after {:?}", start.elapsed());
        }
        limits_hold(cluster, &limited)?;
        node.del(&limited)
    });
}

#[test]
fn nothing_is_left_of_a_pod_whose_del_found_no_agent() {
    with(CLSACT, Routing::Vxlan, |cluster| {
        let node = &cluster.nodes[0];
        let limited = add(node, &invocation(node, "ADD", None)?)?;
        ensure!(devices(node)?.len() == 1, "{:?}", devices(node)?);
        node.kill()?;
        node.del(&limited)?;
        node.start_with(CLSACT)?;
        test_kit::topology::until(
            "the ifb to go",
            || devices(node).ok(),
            |found| found.as_ref().is_some_and(Vec::is_empty),
        )
        .map(drop)
    });
}

fn with(arguments: &[&str], routing: Routing, test: impl FnOnce(&Cluster) -> Result<()>) {
    let layout = Layout { routing, ..Layout::default() };
    let cluster = Cluster::prepare(Prefix::of_a_test(), &layout).expect("the cluster is made");
    let tried = cluster.nodes.iter().try_for_each(|node| node.start_with(arguments));
    if let Err(error) = tried.and_then(|()| test(&cluster)) {
        panic!("{error:#}\n\n{}", cluster.describe());
    }
}

/// A call for a pod whose runtime asks for limits, beside a configuration list with these plugins, or beside none.
fn invocation(node: &Node, command: &str, plugins: Option<Value>) -> Result<Invocation> {
    let folder: PathBuf = node.folder().join("net.d");
    fs::create_dir_all(&folder)?;
    if let Some(plugins) = plugins {
        let list = json!({"cniVersion": "1.1.0", "name": "ferrule", "plugins": plugins});
        fs::write(folder.join("05-ferrule.conflist"), list.to_string())?;
    }
    let netns = PathBuf::from("/run/netns").join(format!("{}-limited", node.netns.name()));
    Ok(node.invocation(command, "limited", &netns).with("runtimeConfig", limits()).with("configDir", json!(folder)))
}

fn without_limits(config: &Value) -> Value {
    let mut config = config.clone();
    config["runtimeConfig"] = json!({});
    config
}

fn add(node: &Node, call: &Invocation) -> Result<Pod> {
    let netns = Netns::new(&format!("{}-limited", node.netns.name()))?;
    let call = Invocation { netns: netns.path(), ..call.clone() };
    let result = call.run(&node.netns)?;
    Pod::new("limited", netns, result)
}

/// What limits the pod stands, as `tc` shows it, and CHECK says so.
fn limits_hold_still(node: &Node, limited: &Pod) -> Result<()> {
    let host = limited.host_link()?;
    let ifb = host.replacen("fr", "fi", 1);
    for (device, rate) in [(&host, "rate 40Mbit burst 10"), (&ifb, "rate 20Mbit burst 10")] {
        let mut tc = node.netns.command("tc");
        let text = test_kit::topology::run(tc.args(["qdisc", "show", "dev", device, "root"]))?;
        ensure!(text.contains("tbf 1:") && text.contains(rate), "{device}: {text}");
    }
    node.check(limited)
}

/// The ifbs of limited pods.
fn devices(node: &Node) -> Result<Vec<String>> {
    Ok(node.netns.links()?.into_iter().filter(|name| name.starts_with("fi")).collect())
}

/// TCX came with Linux 6.6.
fn has_tcx() -> Result<bool> {
    Ok(crate::preflight::kernel()? >= (6, 6))
}
