//! The agent may die at any moment.

use anyhow::{Context, ensure};
use test_kit::{
    topology::{Layout, Routing, until},
    traffic::{Echo, Flow, Ping},
};

use crate::support::{address, all_reach_all, ends, within};

/// Kills the agents under traffic, lets time pass, and starts them again.
fn kill_under_traffic(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        let _servers = [&b, &c].map(|pod| Echo::start(&pod.netns, &pod.addresses));
        let mut flows = Vec::new();
        let mut pings = Vec::new();
        for (to, v4) in [(&b, true), (&b, false), (&c, true), (&c, false)] {
            let to = address(to, v4)?;
            // What neighbour discovery on the underlay costs the first packet is not the agent's doing.
            Ping::to(to).once(&a.netns)?;
            flows.push(Flow::start(&a.netns, to)?);
            pings.push((to, Ping::to(to).many(&a.netns, 600)?));
        }
        for node in [n1, n2] {
            node.kill()?;
        }
        std::thread::sleep(std::time::Duration::from_millis(500));
        for node in [n1, n2] {
            node.start()?;
        }
        for (to, ping) in pings {
            let (sent, answered) = ping.end()?;
            ensure!(sent == answered, "{to}: {answered} of {sent} pings were answered");
        }
        for flow in flows {
            flow.end()?;
        }
        drop(_servers);
        // The new agents serve what the former ones made, and more.
        n1.check(&a)?;
        let d = n1.add("d")?;
        all_reach_all(&ends(cluster, &[&a, &b, &c, &d]))?;
        n1.del(&a)
    });
}

#[test]
fn no_packet_is_lost_by_vxlan_when_agents_are_killed_and_started() {
    kill_under_traffic(Routing::Vxlan);
}

#[test]
fn no_packet_is_lost_by_native_routing_when_agents_are_killed_and_started() {
    kill_under_traffic(Routing::Native);
}

#[test]
fn sigterm_leaves_the_datapath_running() {
    within(&Layout::default(), |cluster| {
        let (a, b) = (cluster.nodes[0].add("a")?, cluster.nodes[1].add("b")?);
        for node in &cluster.nodes {
            node.stop()?;
        }
        all_reach_all(&ends(cluster, &[&a, &b]))
    });
}

#[test]
fn a_pod_deleted_while_the_agent_is_away_is_gone_after_its_start() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b) = (node.add("a")?, node.add("b")?);
        node.kill()?;
        node.del(&a)?;
        ensure!(node.netns.links()?.iter().filter(|link| link.starts_with("fr")).count() == 1, "one pod is left");
        node.start()?;
        let endpoints = || node.ferrule("endpoint list").ok().and_then(|list| Some(list.as_array()?.len()));
        until("the lease to be released", endpoints, |count| *count == Some(1))?;
        let map = node.ferrule("map dump fr_endpoints")?;
        let gone = address(&a, true)?.to_string();
        ensure!(!map.to_string().contains(&format!("\"{gone}\"")), "{gone} is still in {map}");
        node.check(&b)
    });
}

#[test]
fn a_pod_whose_namespace_went_while_the_agent_was_away_is_released() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b) = (node.add("a")?, node.add("b")?);
        node.kill()?;
        drop(a);
        node.start()?;
        let leased = || node.ferrule("ip list").ok().and_then(|list| Some(list.as_array()?.len()));
        until("the lease to end", leased, |count| *count == Some(2))?;
        node.check(&b).context("the other pod")
    });
}
