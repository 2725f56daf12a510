//! A node that boots again: its agent, its pods, its links and its BPF file system are gone, its disk is not.

use std::{collections::BTreeSet, fs, net::IpAddr};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_kit::topology::{Cluster, Layout, Node, Pod, Prefix, until};

use crate::support::{all_reach_all, ends};

const PODS: usize = 50;
const ROUNDS: usize = 10;

/// What an agent keeps, by its kind: how much there is of it.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    leases: usize,
    addresses: usize,
    endpoints: usize,
    links: usize,
    sources: usize,
    veths: usize,
    routes: usize,
    neighbours: usize,
    pins: usize,
    notes: usize,
    files: BTreeSet<String>,
}

impl Held {
    fn of(node: &Node) -> Result<Self> {
        let rows = |words: &str| Ok::<_, anyhow::Error>(node.ferrule(words)?.as_array().context("a list")?.len());
        let lines = |words: &str| Ok::<_, anyhow::Error>(node.netns.ip(words)?.lines().count());
        let files = fs::read_dir(node.folder())?.flatten().chain(fs::read_dir(node.state())?.flatten());
        Ok(Self {
            leases: rows("endpoint list")?,
            addresses: rows("ip list")?,
            endpoints: rows("map dump fr_endpoints")?,
            links: rows("map dump fr_links")?,
            sources: rows("map dump fr_sources")?,
            veths: node.netns.links()?.iter().filter(|link| link.starts_with("fr") && !link.contains('-')).count(),
            routes: lines("route show table all")? + lines("-6 route show table all")?,
            neighbours: lines("neigh show nud permanent")?,
            pins: fs::read_dir(node.pins())?
                .flatten()
                .filter_map(|folder| fs::read_dir(folder.path()).ok())
                .flatten()
                .count(),
            notes: fs::read_dir(ferrule_api::plugin::release_notes(&node.socket())).map_or(0, Iterator::count),
            files: files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect(),
        })
    }
}

/// Every other pod's container has another id in each boot.
fn container(pod: usize, round: usize) -> String {
    if pod.is_multiple_of(2) { format!("p{pod}") } else { format!("p{pod}r{round}") }
}

/// Ends everything that does not outlive a boot.
fn shut_down(node: &Node, pods: Vec<Pod>) -> Result<()> {
    node.kill()?;
    // Pods' links go with their namespaces.
    drop(pods);
    let gone = || {
        node.netns.links().is_ok_and(|links| !links.iter().any(|link| link.starts_with("fr") && !link.contains('-')))
    };
    until("pods' links to go", gone, |gone| *gone)?;
    node.netns.ip("link del ferrule-vxlan")?;
    node.netns.ip("route flush proto 102")?;
    node.netns.ip("-6 route flush proto 102")?;
    // There is none where the kernel has TCX, whose links go with their pins.
    let _ = test_kit::topology::run(node.netns.command("tc").args(["qdisc", "del", "dev", "eth0", "clsact"]));
    fs::remove_dir_all(node.pins())?;
    fs::create_dir_all(node.pins())?;
    // The runtime's folder is in memory.
    fs::remove_file(node.socket())?;
    Ok(())
}

#[test]
fn ten_reboots_with_fifty_pods_leave_nothing_over() {
    let cluster = Cluster::prepare(Prefix::of_a_test(), &Layout { nodes: 1, ..Layout::default() }).expect("a cluster");
    let test = || {
        let node = &cluster.nodes[0];
        let mut former: Option<Held> = None;
        let mut leased: BTreeSet<IpAddr> = BTreeSet::new();
        for round in 0..ROUNDS {
            node.start_in_boot(&format!("00000000-0000-4000-8000-{round:012}"))?;
            // The kubelet makes every pod anew, and its containers have other ids or the same.
            let pods = (0..PODS).map(|number| node.add(&container(number, round))).collect::<Result<Vec<_>>>()?;
            let settled = || node.ferrule("ip list").unwrap_or_default().as_array().map(Vec::len);
            until("old leases to end", settled, |count| *count == Some(2 * PODS))?;
            let held = Held::of(node)?;
            ensure!(held.leases == PODS && held.veths == PODS, "round {round}: {held:?}");
            let addresses: BTreeSet<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.iter().copied()).collect();
            ensure!(addresses.len() == 2 * PODS, "round {round}: an address was given twice");
            leased.extend(addresses);
            if let Some(former) = &former {
                ensure!(held == *former, "round {round}:\n{held:?}\nand before\n{former:?}");
            }
            former = Some(held);
            all_reach_all(&ends(&cluster, &[&pods[0], &pods[PODS - 1]]))?;
            ensure!(node.ferrule("doctor").is_ok(), "round {round}: {:?}", node.doctor());
            if round + 1 < ROUNDS {
                shut_down(node, pods)?;
                continue;
            }
            pods.iter().try_for_each(|pod| node.del(pod))?;
        }
        for question in
            ["endpoint list", "ip list", "map dump fr_endpoints", "map dump fr_links", "map dump fr_sources"]
        {
            let left: Value = node.ferrule(question)?;
            ensure!(left == json!([]), "{question}: {left}");
        }
        Ok(())
    };
    test().unwrap_or_else(|error: anyhow::Error| panic!("{error:#}\n{}", cluster.describe()));
}
