//! Many pods on one node, at once and one after the other.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Families, Layout, Netns, Node, Pod, until},
    traffic::{Echo, Ping, Protocol, probe},
};

use crate::support::{Footprint, held, is_empty, namespaces, one, parallel, within};

/// Kubernetes' own limit is 110.
const MANY: usize = 250;
/// A node's worth of pods, all at once, as after a reboot.
const AT_ONCE: usize = 110;
/// As one after another as two CPUs do it.
const CYCLES: usize = 1000;

fn add(node: &Node, name: &str, netns: &Netns) -> Result<Pod> {
    let result = node.invocation("ADD", name, &netns.path()).run(&node.netns)?;
    Pod::new(name, Netns::known(netns.name()), result)
}

fn del(node: &Node, name: &str, netns: &Netns) -> Result<()> {
    node.invocation("DEL", name, &netns.path()).run(&node.netns).map(drop)
}

#[test]
fn two_hundred_and_fifty_pods_of_a_node_reach_each_other() {
    let layout = Layout { nodes: 2, pods: Families::Dual, ..Layout::default() };
    within(&layout, |cluster| {
        let [node, other] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let start = Instant::now();
        let pods = parallel((0..MANY).collect(), 8, |number| node.add(&format!("p{number}")))?;
        eprintln!("{MANY} pods added in {:?}", start.elapsed());
        let addresses: BTreeSet<_> = pods.iter().flat_map(|pod| &pod.addresses).collect();
        ensure!(addresses.len() == 2 * MANY, "{} addresses", addresses.len());
        // Each asks the one behind it, and one far from it.
        let asked: Vec<_> = (0..MANY).flat_map(|from| [1, 101].map(|far| (from, (from + far) % MANY))).collect();
        parallel(asked, 8, |(from, to)| {
            pods[to].addresses.iter().try_for_each(|ip| Ping::to(*ip).once(&pods[from].netns).map(drop))
        })?;
        let far = other.add("far")?;
        let _server = Echo::start(&far.netns, &far.addresses)?;
        for pod in pods.iter().step_by(50) {
            for (address, protocol) in far.addresses.iter().flat_map(|ip| Protocol::ALL.map(|protocol| (*ip, protocol)))
            {
                probe(&pod.netns, address, protocol)?;
            }
        }
        let findings = node.doctor()?;
        let failures: Vec<_> = findings.iter().filter(|finding| finding["verdict"] == "failure").collect();
        ensure!(failures.is_empty(), "{failures:?}");
        parallel(pods.iter().collect(), 8, |pod| node.check(pod))?;
        let start = Instant::now();
        parallel(pods.iter().collect(), 8, |pod| node.del(pod))?;
        eprintln!("{MANY} pods deleted in {:?}", start.elapsed());
        is_empty(node)
    });
}

#[test]
fn a_hundred_and_ten_pods_come_and_go_at_once_again_and_again() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let spaces = namespaces(node, AT_ONCE)?;
        for round in 0..4 {
            let start = Instant::now();
            // Other containers in the same namespaces, so that a name of a former round is nobody's.
            let names: Vec<_> = (0..AT_ONCE).map(|number| format!("p{number}r{}", round % 2)).collect();
            let pairs: Vec<_> = names.iter().zip(&spaces).collect();
            let pods = parallel(pairs.clone(), AT_ONCE, |(name, netns)| add(node, name, netns))
                .with_context(|| format!("round {round}: ADD"))?;
            let added = start.elapsed();
            let addresses: BTreeSet<_> = pods.iter().flat_map(|pod| &pod.addresses).collect();
            ensure!(addresses.len() == 2 * AT_ONCE, "round {round}: {} addresses", addresses.len());
            for (from, to) in (0..AT_ONCE).step_by(11).map(|from| (&pods[from], &pods[(from + 60) % AT_ONCE])) {
                to.addresses.iter().try_for_each(|ip| Ping::to(*ip).once(&from.netns).map(drop))?;
            }
            let start = Instant::now();
            parallel(pairs, AT_ONCE, |(name, netns)| del(node, name, netns))
                .with_context(|| format!("round {round}: DEL"))?;
            eprintln!("round {round}: {AT_ONCE} ADDs in {added:?}, DELs in {:?}", start.elapsed());
            is_empty(node).with_context(|| format!("round {round}"))?;
        }
        Ok(())
    });
}

#[test]
fn a_thousand_pods_one_after_the_other_leave_nothing() {
    within(&one(), |cluster| {
        let node = &cluster.nodes[0];
        let spaces = namespaces(node, 8)?;
        let cycles = |range: std::ops::Range<usize>| {
            // Each worker has a namespace of its own, and every pod is another one.
            parallel(spaces.iter().enumerate().collect(), spaces.len(), |(worker, netns)| {
                for number in range.clone().filter(|number| number % spaces.len() == worker) {
                    let name = format!("c{number}");
                    add(node, &name, netns)?;
                    del(node, &name, netns)?;
                }
                Ok(())
            })
        };
        // What is allocated once is allocated after this.
        cycles(0..200)?;
        is_empty(node)?;
        let before = Footprint::of(node)?;
        let start = Instant::now();
        cycles(200..200 + CYCLES)?;
        eprintln!("{CYCLES} pods added and deleted in {:?}", start.elapsed());
        is_empty(node)?;
        // Connections that wait for their end, and threads that wait for work, go.
        let now = || Footprint::of(node).ok();
        let settled = until("descriptors and pins to be as before", now, |now| {
            now.as_ref().is_some_and(|now| now.descriptors <= before.descriptors && now.pins == before.pins)
        })
        .with_context(|| format!("before: {before:?}"))?
        .context("the agent is gone")?;
        eprintln!("before {before:?}\nafter  {settled:?}");
        // Addresses and indices rest for a while, which takes a few hundred bytes each.
        ensure!(settled.memory_kb < before.memory_kb + 6 * 1024, "before {before:?}, after {settled:?}");
        ensure!(held(node)?["leases"] == 0, "a lease is left");
        Ok(())
    });
}
