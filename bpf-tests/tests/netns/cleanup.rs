//! `ferrule-agent cleanup` leaves a node as it was before the first agent ran.

use std::fs;

use anyhow::ensure;
use test_kit::topology::{Cluster, Layout, Node, Prefix, Routing};

use crate::support::says;

/// What a node's kernel holds: links, routes, rules, filters.
fn observe(node: &Node) -> anyhow::Result<String> {
    let mut text = String::new();
    for words in ["-br link", "-4 route show table all", "-6 route show table all proto static", "rule"] {
        text += &node.netns.ip(words)?;
    }
    for hook in ["ingress", "egress"] {
        let mut tc = node.netns.command("tc");
        text += &test_kit::topology::run(tc.args(["filter", "show", "dev", "eth0", hook]))?;
    }
    Ok(text)
}

fn check(routing: Routing) -> anyhow::Result<()> {
    let cluster = Cluster::prepare(Prefix::of_a_test(), &Layout { routing, ..Layout::default() })?;
    let node = &cluster.nodes[0];
    let before = observe(node)?;
    cluster.start_agents()?;
    let pods = [node.add("a")?, node.add("b")?];
    says(node.cleanup(), &["another agent"])?;
    node.check(&pods[0])?;
    node.stop()?;
    for (folder, file) in [("net.d", "05-ferrule.conflist"), ("net.d", "10-other.conflist"), ("bin", "ferrule-cni")] {
        fs::create_dir_all(node.cni().join(folder))?;
        fs::write(node.cni().join(folder).join(file), "{}")?;
    }
    node.cleanup()?;
    ensure!(observe(node)? == before, "before:\n{before}\nafter:\n{}", observe(node)?);
    for pod in &pods {
        ensure!(pod.netns.links()?.is_empty(), "{} has links", pod.name);
    }
    for path in [node.pins(), node.state(), node.socket()] {
        ensure!(!path.exists(), "{} is there", path.display());
    }
    for (file, stays) in
        [("net.d/05-ferrule.conflist", false), ("bin/ferrule-cni", false), ("net.d/10-other.conflist", true)]
    {
        ensure!(node.cni().join(file).exists() == stays, "{file}");
    }
    fs::remove_dir_all(node.cni())?;
    let files: Vec<_> = fs::read_dir(node.folder())?.flatten().map(|entry| entry.file_name()).collect();
    let of_the_test = ["agent.log", "agent.pid", "notify.sock", "cni.log"];
    let left: Vec<_> = files.iter().filter(|name| !of_the_test.iter().any(|ours| name == ours)).collect();
    ensure!(left.is_empty(), "files are left: {left:?}");
    // A second time there is nothing to do, which is fine; and a node can begin anew.
    node.cleanup()?;
    node.start()?;
    node.add("c").map(drop)
}

#[test]
fn nothing_is_left_after_vxlan() {
    check(Routing::Vxlan).unwrap_or_else(|error| panic!("{error:#}"));
}

#[test]
fn nothing_is_left_after_native_routing() {
    check(Routing::Native).unwrap_or_else(|error| panic!("{error:#}"));
}
