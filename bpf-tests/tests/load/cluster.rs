//! Many nodes and pods in the folder of manifests.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Cluster, Families, Layout, Prefix, manifest, patience, until};

use crate::support::Footprint;

const NODES: u16 = 1000;
const PODS_OF_EACH: u8 = 100;

/// How long the agent may take from its start to being ready, in a debug build on a loaded machine.
const READY: Duration = Duration::from_secs(120);
/// What the agent may take, in kilobytes.
const MEMORY_KB: u64 = 200 * 1024;

fn internal_ip(node: u16) -> IpAddr {
    let [high, low] = node.to_be_bytes();
    Ipv4Addr::new(172, 31, high, low).into()
}

fn pod_ip(node: u16, pod: u8) -> IpAddr {
    let [high, low] = node.to_be_bytes();
    Ipv4Addr::new(10, 128 + high, low, pod + 2).into()
}

fn objects(node: u16) -> String {
    let [high, low] = node.to_be_bytes();
    let name = format!("remote-{node}");
    let mut text = manifest::node(&name, &[format!("10.{}.{low}.0/24", 128 + high)], &[internal_ip(node)]);
    for pod in 0..PODS_OF_EACH {
        text += &manifest::pod(&format!("{name}-{pod}"), &name, &[pod_ip(node, pod)]);
    }
    text
}

#[test]
fn a_thousand_nodes_and_a_hundred_thousand_pods_are_known() {
    let (pods, underlay) = (Families::V4, Families::V4);
    let layout =
        Layout { nodes: 1, pods, underlay, arguments: &["--cluster-cidrs", "10.128.0.0/10"], ..Layout::default() };
    let cluster = Cluster::prepare(Prefix::of_a_test(), &layout).expect("a cluster");
    check(&cluster).unwrap_or_else(|error| panic!("{error:#}\n{}", cluster.describe()));
}

fn check(cluster: &Cluster) -> Result<()> {
    for node in 0..NODES {
        cluster.manifests.write(&format!("remote-{node}"), &objects(node))?;
    }
    let node = &cluster.nodes[0];
    let start = Instant::now();
    node.start_within(READY)?;
    let ready = start.elapsed();
    let wanted = u64::from(NODES) * u64::from(PODS_OF_EACH);
    let status = node.ferrule("status")?;
    ensure!(status["remotePods"] == wanted && status["nodes"] == NODES, "{status}");
    ensure!(status["errors"].as_array().is_some_and(Vec::is_empty), "{status}");
    eprintln!("ready after {ready:?} with {:?}", Footprint::of(node)?);

    let nodes = node.ferrule("node list")?;
    let index = |name: &str| nodes.as_array()?.iter().find(|node| node["name"] == name)?["index"].as_u64();
    let entries = node.ferrule("map dump fr_peers")?;
    let entries = entries.as_array().context("a list")?;
    for (number, pod) in [(0, 0), (1, 99), (499, 50), (999, 0), (999, 99)] {
        let name = format!("remote-{number}");
        let index = index(&name).with_context(|| format!("{name} is not known"))?.to_string();
        let address = pod_ip(number, pod).to_string();
        let entry = entries.iter().find(|entry| entry["address"] == *address).with_context(|| address.clone())?;
        ensure!(entry["node"] == *index && entry["kind"] == "pod", "{address} of {name}, index {index}: {entry}");
        let route = node.netns.ip(&format!("route get {address}"))?;
        let tunnel = format!("dst {}", internal_ip(number));
        ensure!(route.contains(&tunnel), "{address} of {name}: {route}");
    }
    // A change of one object is soon in the maps, and a pod is soon added.
    let start = Instant::now();
    cluster.manifests.write("remote-7", &objects(7).replace("10.128.7.50", "10.128.7.250"))?;
    let moved = || node.ferrule("map dump fr_peers").unwrap_or_default().to_string().contains("\"10.128.7.250\"");
    until("a pod's other address", moved, |moved| *moved)?;
    eprintln!("a change was in the maps after {:?}", start.elapsed());
    let start = Instant::now();
    let pod = node.add("own")?;
    eprintln!("a pod was added in {:?}", start.elapsed());
    ensure!(start.elapsed() < patience(Duration::from_secs(5)), "an ADD took {:?}", start.elapsed());
    node.check(&pod)?;
    let after = Footprint::of(node)?;
    ensure!(after.memory_kb < MEMORY_KB, "{after:?}");
    Ok(())
}
