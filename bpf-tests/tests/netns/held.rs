//! An address that somebody has is not leased, whether or not a lease says so.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use test_kit::{
    topology::{Cluster, Fabric, Invocation, Layout, Netns, Node, Pod, Prefix, Routing, until},
    traffic::Ping,
};

use crate::{
    lasting::Lasting,
    support::{all_reach_all, ends, within},
};

/// Where distributions put the CNI project's bridge plugin.
const BRIDGE: &str = "/usr/lib/cni/bridge";

#[test]
fn a_lost_state_directory_costs_running_pods_nothing_and_gives_nobody_their_addresses() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        let traffic = Lasting::start(&a, &[&b, &c])?;
        n1.stop()?;
        fs::remove_dir_all(n1.state())?;
        n1.start()?;
        traffic.ends_undisturbed()?;
        let news = (0..4).map(|number| n1.add(&format!("new{number}"))).collect::<Result<Vec<_>>>()?;
        for pod in &news {
            let taken = [&a, &b].iter().flat_map(|old| &old.addresses).find(|ip| pod.addresses.contains(ip));
            ensure!(taken.is_none(), "{} got {taken:?}, which a running pod has", pod.name);
        }
        all_reach_all(&ends(cluster, &[&a, &b, &c, &news[0]]))?;
        let told = || n1.ferrule("status").unwrap_or_default()["errors"].to_string();
        let link = a.host_link()?;
        until("the link without a lease to be named", told, |errors| {
            errors.contains(&link) && errors.contains("delete")
        })?;
        // As the words say: the pod is deleted, and made anew; nothing of it is left.
        for pod in [&a, &b] {
            n1.del(pod)?;
            ensure!(pod.netns.links()?.is_empty(), "{} has its link", pod.name);
        }
        until("nobody to be without a lease", told, |errors| errors == "[]")?;
        let entries = n1.ferrule("map dump fr_endpoints")?;
        ensure!(entries.as_array().is_some_and(|all| all.len() == 8), "{entries}");
        let again = n1.add("again")?;
        all_reach_all(&ends(cluster, &[&c, &again]))
    });
}

#[test]
fn an_address_of_the_node_itself_or_of_a_pod_object_is_not_leased() {
    let cluster = Cluster::prepare(Prefix::of_a_test(), &Layout { nodes: 1, ..Layout::default() }).expect("a cluster");
    let test = || {
        let node = &cluster.nodes[0];
        node.netns.ip("link add own type veth peer name own1")?;
        node.netns.ip("addr add 10.244.1.2/32 dev own")?;
        node.netns.ip("addr add fd00:244:1::2/128 dev own nodad")?;
        let objects = manifest(&["10.244.1.3", "fd00:244:1::3"]);
        cluster.manifests.write("pod", &objects)?;
        cluster.start_agents()?;
        let pod = node.add("a")?;
        let taken = ["10.244.1.2", "10.244.1.3", "fd00:244:1::2", "fd00:244:1::3"];
        ensure!(!pod.addresses.iter().any(|ip| taken.contains(&ip.to_string().as_str())), "{pod:?}");
        Ok(())
    };
    test().unwrap_or_else(|error: anyhow::Error| panic!("{error:#}\n{}", cluster.describe()));
}

fn manifest(addresses: &[&str]) -> String {
    let addresses: Vec<_> = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    test_kit::topology::manifest::pod("elsewhere", "n1", &addresses)
}

/// Connects a pod by the former plugin, whose addresses are of the node's pod CIDR and stand in a folder of the node's.
fn add_by_bridge(cluster: &Cluster, node: &Node, name: &str) -> Result<Pod> {
    ensure!(Path::new(BRIDGE).is_file(), "{BRIDGE} is not there; install the package containernetworking-plugins");
    let prefix = node.netns.name().split('-').next().unwrap_or_default();
    let netns = Netns::new(&format!("{prefix}-{name}"))?;
    let config = json!({
        "cniVersion": "1.0.0", "name": "former", "type": "bridge", "bridge": "cni0", "isGateway": true,
        "isDefaultGateway": true, "ipMasq": false, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": node.pod_cidrs[0]}]], "dataDir": host_local(node)},
    });
    let call = Invocation::new("ADD", name, &netns.path(), &node.socket());
    let result = Invocation { config, plugin: Some(BRIDGE.into()), ..call }.run(&node.netns)?;
    let pod = Pod::new(name, netns, result)?;
    cluster.publish(&pod, node)?;
    Ok(pod)
}

fn host_local(node: &Node) -> std::path::PathBuf {
    node.folder().join("networks")
}

/// Both nodes have pods of a bridge network when the agents come; they stay beside the new ones.
fn over_a_bridge(routing: Routing) {
    let layout =
        Layout { routing, pods: test_kit::topology::Families::V4, fabric: Fabric::Bridge, ..Layout::default() };
    let cluster = Cluster::prepare(Prefix::of_a_test(), &layout).expect("a cluster");
    let test = || {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let old = [
            add_by_bridge(&cluster, n1, "old1")?,
            add_by_bridge(&cluster, n1, "old2")?,
            add_by_bridge(&cluster, n2, "old3")?,
        ];
        let near = Lasting::start(&old[0], &[&old[1]])?;
        for node in [n1, n2] {
            node.start_with(&["--host-local", host_local(node).to_str().context("a path")?])?;
        }
        near.ends_undisturbed().context("within the bridge, while the agents came")?;
        let new = [n1.add("new1")?, n1.add("new2")?, n2.add("new3")?];
        for pod in &new {
            let holder = old.iter().find(|old| old.addresses.iter().any(|ip| pod.addresses.contains(ip)));
            ensure!(holder.is_none(), "{} got the address of {holder:?}", pod.name);
        }
        let all: Vec<&Pod> = old.iter().chain(&new).collect();
        // By VXLAN, what a bridge's pod sends to another node itself is not encapsulated, and refused there.
        let with_nodes = ends(&cluster, &all);
        all_reach_all(if routing == Routing::Vxlan { &with_nodes[..all.len()] } else { &with_nodes })?;
        // Also those that the neighbour table has forgotten, and whose objects are gone: host-local knows them.
        cluster.manifests.remove("pod-old1")?;
        n1.netns.ip("neigh flush dev cni0")?;
        for number in 0..6 {
            let pod = n1.add(&format!("more{number}"))?;
            ensure!(!pod.addresses.contains(&old[0].addresses[0]), "{} got a running pod's address", pod.name);
        }
        Ping::to(old[0].addresses[0]).once(&new[2].netns).map(drop)
    };
    test().unwrap_or_else(|error: anyhow::Error| panic!("{error:#}\n{}", cluster.describe()));
}

#[test]
fn pods_of_a_bridge_network_go_on_beside_the_new_ones_by_vxlan() {
    over_a_bridge(Routing::Vxlan);
}

#[test]
fn pods_of_a_bridge_network_go_on_beside_the_new_ones_by_native_routing() {
    over_a_bridge(Routing::Native);
}
