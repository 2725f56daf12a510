//! A node that comes, gets other addresses, another Node object, a reboot, and goes: the others follow, and nobody else
//! notices.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use ipnetwork::IpNetwork;
use serde_json::{Value, json};
use test_kit::{
    cluster::{Cluster, Node},
    traffic::{Echo, Protocol, probe},
};

use crate::support::{
    Pod, Space, Witness,
    agent::{issues, kubectl, synced},
    ferrule, nodes,
};

/// Addresses that no node of the cluster has by its number.
const OTHER_IPS: [&str; 2] = ["172.30.0.63", "fd00:30::63"];
/// Pod CIDRs that the controller manager gives to nobody as long as a test lasts.
const OTHER_CIDRS: [&str; 2] = ["10.244.200.0/24", "fd00:244:0:200::/64"];

/// A third node, which is gone with this.
struct Third {
    node: Node,
    cluster: Cluster,
}

impl Third {
    #[track_caller]
    fn start(space: &Space) -> Self {
        let (cluster, node) = (space.cluster.clone(), space.cluster.node(3));
        let third = Self { node, cluster };
        third.cluster.join(&third.node).expect("a third node");
        synced(space, &third.node);
        third
    }

    fn object(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.cluster.kubectl(&["get", "node", self.node.name(), "-o", "json"])?)?)
    }

    fn cidrs(&self) -> Result<Vec<IpNetwork>> {
        let object = self.object()?;
        let cidrs = object["spec"]["podCIDRs"].as_array().context("it has pod CIDRs")?;
        cidrs.iter().map(|cidr| Ok(cidr.as_str().context("text")?.parse()?)).collect()
    }
}

impl Drop for Third {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("n3: {}", self.node.ferrule("status").unwrap_or_else(|error| format!("{error:#}")));
        }
        // What a test did already is fine.
        let _ = self.cluster.kubectl(&["delete", "node", self.node.name(), "--wait=false"]);
        let _ = self.node.machine.remove();
    }
}

#[test]
fn a_node_that_comes_changes_and_goes_is_followed_by_the_others_and_disturbs_nobody() {
    let space = Space::new("machines");
    let witness = Witness::start(&space);
    let others = [&witness.client, &witness.server];
    let third = Third::start(&space);
    comes(&space, &third, others);
    gets_other_addresses(&space, &third, others);
    gets_another_object(&space, &third, others);
    is_rebooted(&space, &third, others);
    goes(&space, &third);
    drop(third);
    witness.saw_nothing(&space);
}

#[track_caller]
fn comes(space: &Space, third: &Third, others: [&Pod; 2]) {
    known(space, third);
    let guest = space.pod("guest", third.node.name(), &[]);
    reached(space, &guest, others);
}

#[track_caller]
fn gets_other_addresses(space: &Space, third: &Third, others: [&Pod; 2]) {
    third.node.renumber(OTHER_IPS).expect("other addresses");
    known(space, third);
    // Its own connections to the API server were the former address's.
    knows_itself(space, third, "internalIps", &OTHER_IPS);
    reached(space, &space.running("guest"), others);
}

/// Its old pods are served as before, and new ones get addresses of the new pod CIDRs.
#[track_caller]
fn gets_another_object(space: &Space, third: &Third, others: [&Pod; 2]) {
    let former = third.object().expect("a Node");
    kubectl(space, "delete node n3").expect("a removal");
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "n3", "labels": former["metadata"]["labels"]},
        "spec": {"podCIDR": OTHER_CIDRS[0], "podCIDRs": OTHER_CIDRS},
    });
    space.cluster.apply(&node.to_string()).expect("another Node");
    known(space, third);
    let cidrs = third.cidrs().expect("pod CIDRs");
    let guest = space.running("guest");
    assert!(guest.ips.iter().all(|ip| !within(&cidrs, *ip)), "{:?} is of {cidrs:?}", guest.ips);
    reached(space, &guest, others);
    knows_itself(space, third, "podCidrs", &OTHER_CIDRS);
    let later = space.pod("later", third.node.name(), &[]);
    assert!(later.ips.iter().all(|ip| within(&cidrs, *ip)), "{:?} is not of {cidrs:?}", later.ips);
    reached(space, &later, others);
    // It may have been told over a connection of the former address, which takes its time to fail.
    space.until("the Node says that its network is available", || {
        let status = space.get("node", "n3")?["status"]["conditions"].clone();
        let available = |one: &Value| one["type"] == "NetworkUnavailable" && one["status"] == "False";
        ensure!(status.as_array().is_some_and(|all| all.iter().any(available)), "{status}");
        Ok(())
    });
}

/// Its pods start anew, with addresses of the present pod CIDRs, and nothing is left of those that they had.
#[track_caller]
fn is_rebooted(space: &Space, third: &Third, others: [&Pod; 2]) {
    let before = space.running("guest").ips;
    third.node.reboot().expect("a reboot");
    synced(space, &third.node);
    let cidrs = third.cidrs().expect("pod CIDRs");
    space.until("its pods run again", || {
        let object = space.get("pod", "guest")?;
        let pod = Pod::read(&object, &nodes())?;
        ensure!(pod.ips.iter().all(|ip| within(&cidrs, *ip)), "{:?}", pod.ips);
        Ok(())
    });
    for name in ["guest", "later"] {
        reached(space, &space.running(name), others);
    }
    for node in nodes().iter().take(2) {
        space.until(&format!("{} forgets the former addresses", node.name()), || {
            let peers = ferrule(node, "map dump fr_peers").to_string();
            let left = before.iter().filter(|ip| peers.contains(&format!("\"{ip}\"")));
            let left: Vec<&IpAddr> = left.collect();
            if left.is_empty() { Ok(()) } else { bail!("{left:?}") }
        });
    }
    let leased: Vec<String> = strings(&ferrule(&third.node, "ip list"), "address");
    let own = [space.running("guest").ips, space.running("later").ips].concat();
    assert_eq!(sorted(leased), sorted(own.iter().map(ToString::to_string).collect()), "n3's leases");
}

#[track_caller]
fn goes(space: &Space, third: &Third) {
    let cidrs = third.cidrs().expect("pod CIDRs");
    let drain = "drain n3 --ignore-daemonsets --force --delete-emptydir-data --grace-period=0 --timeout=60s";
    kubectl(space, drain).expect("it is drained");
    third.node.machine.halt().expect("it is switched off");
    kubectl(space, "delete node n3").expect("a removal");
    let pods = "delete pods -n kube-system --field-selector=spec.nodeName=n3 --force --grace-period=0";
    kubectl(space, pods).expect("its agent's pod is removed");
    for node in nodes().iter().take(2) {
        space.until(&format!("{} forgets the node", node.name()), || {
            ensure!(entry(node)?.is_none(), "it is in `ferrule node list`");
            let routes = routes(node)?;
            let addresses = strings(&ferrule(node, "map dump fr_peers"), "address");
            let prefixes = ferrule(node, "map dump fr_routes").to_string();
            for cidr in &cidrs {
                ensure!(!routes.contains(&cidr.to_string()), "a route: {routes}");
                ensure!(!prefixes.contains(&cidr.to_string()), "fr_routes: {prefixes}");
            }
            let own = |ip: &&String| ip.parse().is_ok_and(|ip| within(&cidrs, ip)) || OTHER_IPS.contains(&ip.as_str());
            let left: Vec<&String> = addresses.iter().filter(own).collect();
            ensure!(left.is_empty(), "fr_peers: {left:?}");
            Ok(())
        });
    }
}

/// Waits until the third node's own agent has what its Node object says, and nothing else to complain of.
#[track_caller]
fn knows_itself(space: &Space, third: &Third, member: &str, wanted: &[&str]) {
    space.until(&format!("n3's agent knows its {member}"), || {
        let status: Value = serde_json::from_str(&third.node.ferrule("-o json status")?)?;
        ensure!(status[member] == json!(wanted) && issues(&third.node)?.is_empty(), "{status:#}");
        Ok(())
    });
}

/// Waits until the other nodes have the third one's present addresses and pod CIDRs, in maps and in routes.
#[track_caller]
fn known(space: &Space, third: &Third) {
    let ips = third.node.internal_ips();
    for node in nodes().iter().take(2) {
        space.until(&format!("{} knows n3 as it is", node.name()), || {
            let entry = entry(node)?.context("it is not in `ferrule node list`")?;
            ensure!(entry["tunnel"] == ips[0].as_str() && entry["internalIps"] == json!(ips), "{entry}");
            let routes = routes(node)?;
            for cidr in third.cidrs()? {
                let line = routes.lines().find(|line| line.contains(&cidr.to_string()));
                let line = line.with_context(|| format!("no route to {cidr}: {routes}"))?;
                ensure!(line.contains(&format!("dst {} ", ips[0])), "{line}");
            }
            Ok(())
        });
    }
}

fn entry(node: &Node) -> Result<Option<Value>> {
    let list: Value = serde_json::from_str(&node.ferrule("-o json node list")?)?;
    Ok(list.as_array().context("a list")?.iter().find(|one| one["name"] == "n3").cloned())
}

fn routes(node: &Node) -> Result<String> {
    Ok(node.machine.run("ip route show")? + &node.machine.run("ip -6 route show")?)
}

/// Pods of the other nodes reach a pod of the third one, and it reaches the one of them that serves.
#[track_caller]
fn reached(space: &Space, guest: &Pod, others: [&Pod; 2]) {
    let echo = Echo::start(&guest.netns, &guest.ips).expect("an echo server");
    for v6 in [false, true] {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for (from, to) in [(others[0], guest), (others[1], guest), (guest, others[1])] {
                space.until(&format!("{} reaches {}", from.name, to.name), || {
                    probe(&from.netns, to.ip(v6), protocol).map(drop)
                });
            }
        }
    }
    drop(echo);
}

fn within(cidrs: &[IpNetwork], ip: IpAddr) -> bool {
    cidrs.iter().any(|cidr| cidr.contains(ip))
}

fn strings(list: &Value, member: &str) -> Vec<String> {
    let values = list.as_array().into_iter().flatten().filter_map(|one| one[member].as_str());
    values.map(str::to_owned).collect()
}

fn sorted(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words
}
