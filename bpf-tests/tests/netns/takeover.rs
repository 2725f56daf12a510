//! An agent whose maps have another layout takes over under traffic, forward and back: it fills its maps beside the old
//! ones, then its programs take the old ones' places.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Cluster, Layout, Node, Pod, Routing, until},
    traffic::Ping,
};

use crate::{
    lasting::Lasting,
    support::{address, all_reach_all, ends, says, within},
};

/// The agent as it ships.
const USUAL: &str = "ferrule-agent";
/// The same with another layout of every map.
const OTHER: &str = "ferrule-agent-other";

/// The folders of pinned maps, one for each layout.
fn layouts(node: &Node) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(node.pins())?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| name.starts_with("maps-v")).collect())
}

/// That one layout is pinned, and its programs alone are in force: the doctor compares every hook's program with the
/// agent's own, and packets count in the agent's maps.
fn is_in_force(node: &Node, binary: &str, pods: [&Pod; 2]) -> Result<()> {
    let one = until("the other layout to go", || layouts(node).unwrap_or_default(), |found| found.len() == 1)?;
    ensure!(one[0].starts_with("maps-v1000") == (binary == OTHER), "{binary} has left {one:?}");
    let failures = || {
        let findings = node.doctor().unwrap_or_default().into_iter();
        findings.filter(|finding| finding["verdict"] == "failure").collect::<Vec<_>>()
    };
    until("the doctor to find nothing", failures, Vec::is_empty)?;
    let before = node.count("from_pod", "pod")?;
    Ping::to(address(pods[1], true)?).once(&pods[0].netns)?;
    ensure!(node.count("from_pod", "pod")? > before, "{binary}: its programs counted nothing");
    Ok(())
}

/// Adds, checks and deletes a pod that everybody reaches.
fn serves(cluster: &Cluster, node: &Node, name: &str, others: &[&Pod]) -> Result<()> {
    let pod = node.add(name)?;
    node.check(&pod)?;
    let mut all = vec![&pod];
    all.extend(others);
    all_reach_all(&ends(cluster, &all))?;
    node.del(&pod)
}

fn there_and_back(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        for (round, binary) in [OTHER, USUAL].into_iter().enumerate() {
            let traffic = Lasting::start(&a, &[&b, &c])?;
            for node in [n1, n2] {
                // One ends as on an upgrade, the other as by the kernel's out-of-memory killer.
                if node.name == n1.name {
                    node.stop()?
                } else {
                    node.kill()?
                }
                node.start_binary(binary, &[])?;
            }
            traffic.ends_undisturbed().with_context(|| format!("to {binary}"))?;
            is_in_force(n1, binary, [&a, &b])?;
            for (node, pods) in [(n1, vec![&a, &b]), (n2, vec![&c])] {
                pods.iter().try_for_each(|pod| node.check(pod))?;
                serves(cluster, node, &format!("{}r{round}", node.name), &[&a, &c])?;
            }
        }
        n1.del(&b)?;
        let left = n1.ferrule("map dump fr_endpoints")?;
        ensure!(left.as_array().is_some_and(|left| left.len() == a.addresses.len()), "{left}");
        Ok(())
    });
}

#[test]
fn another_layout_takes_over_and_gives_back_under_traffic_by_vxlan() {
    there_and_back(Routing::Vxlan);
}

#[test]
fn another_layout_takes_over_and_gives_back_under_traffic_by_native_routing() {
    there_and_back(Routing::Native);
}

#[test]
fn while_a_manifest_cannot_be_read_the_old_programs_stay() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        let traffic = Lasting::start(&a, &[&b, &c])?;
        n1.stop()?;
        cluster.manifests.write("broken", "kind: [")?;
        n1.spawn_binary(OTHER)?;
        let waiting = || n1.ferrule("status").ok().and_then(|status| status["waiting"].as_str().map(str::to_owned));
        let words = until("the agent to say why it waits", waiting, Option::is_some)?.unwrap_or_default();
        ensure!(words.contains("another version's programs") && words.contains("broken.yaml"), "{words:?}");
        says(n1.add("early"), &["broken.yaml"])?;
        // A pod may go nonetheless, and what it had is not given away by either version.
        n1.del(&b)?;
        ensure!(layouts(n1)?.len() == 2, "the old maps are gone: {:?}", layouts(n1)?);
        cluster.manifests.remove("broken")?;
        until("the takeover", waiting, Option::is_none)?;
        until("the old maps to go", || layouts(n1).unwrap_or_default(), |found| found.len() == 1)?;
        let outcome = traffic.end();
        // The flow and the pings to the deleted pod end; those to the other node do not.
        ensure!(outcome.is_err(), "the deleted pod still answers: {outcome:?}");
        let d = n1.add("d")?;
        is_in_force(n1, OTHER, [&a, &d])?;
        all_reach_all(&ends(cluster, &[&a, &c, &d]))
    });
}

#[test]
fn a_pod_whose_link_is_gone_does_not_hold_up_a_takeover() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b, gone) = (node.add("a")?, node.add("b")?, node.add("gone")?);
        node.netns.ip(&format!("link del {}", gone.host_link()?))?;
        node.stop()?;
        node.start_binary(OTHER, &[])?;
        until("the old maps to go", || layouts(node).unwrap_or_default(), |found| found.len() == 1)?;
        node.del(&gone)?;
        is_in_force(node, OTHER, [&a, &b])
    });
}

#[test]
fn a_takeover_that_is_killed_at_any_moment_loses_nothing_whoever_starts_next() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        let traffic = Lasting::start(&a, &[&b, &c])?;
        n1.kill()?;
        let mut halves = 0;
        for step in 0..16 {
            let binary = if step % 2 == 0 { OTHER } else { USUAL };
            n1.spawn_binary(binary)?;
            thread::sleep(Duration::from_millis(60 + 30 * (step % 8)));
            n1.kill()?;
            halves += u32::from(layouts(n1)?.len() == 2);
            // One way round, then the other.
            if step % 5 == 4 {
                let next = if step % 2 == 0 { USUAL } else { OTHER };
                n1.start_binary(next, &[])?;
                is_in_force(n1, next, [&a, &b])?;
                n1.kill()?;
            }
        }
        ensure!(halves > 2, "only {halves} were killed while two layouts were there");
        n1.start()?;
        traffic.ends_undisturbed()?;
        is_in_force(n1, USUAL, [&a, &b])?;
        n1.check(&a)?;
        serves(cluster, n1, "after", &[&a, &c])
    });
}
