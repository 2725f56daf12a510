//! An agent that has missed so much that it can only list anew: what it knew is replaced in one step.

use std::collections::BTreeSet;

use anyhow::{bail, ensure};
use serde_json::{Value, json};
use test_kit::{
    cluster::{Component, Node},
    traffic::{Echo, Protocol, probe},
};

use crate::support::{
    Pod, Space,
    agent::{log, signal, synced},
    ferrule, nodes,
};

/// Lets an agent that a test stopped go on.
struct Stopped<'a>(&'a Node);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        signal(self.0, "CONT");
    }
}

#[test]
fn what_was_compacted_away_is_listed_anew_and_nothing_is_seen_twice_or_left() {
    let space = Space::new("relist");
    let nodes = nodes();
    let vault = space.pod("vault", nodes[0].name(), &[("app", "vault")]);
    let echo = Echo::start(&vault.netns, &vault.ips).expect("an echo server");
    let far = |name: &str, role: &str| space.pod(name, nodes[1].name(), &[("role", role)]);
    let (friend, turncoat) = (far("friend", "friend"), far("turncoat", "friend"));
    let gone: Vec<Pod> = (0..3).map(|number| far(&format!("gone-{number}"), "friend")).collect();
    space.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "friends"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "vault"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"role": "friend"}}}]}],
        },
    }));
    let reaches = |from: &Pod, passes: bool| {
        for v6 in [false, true] {
            space.until(&format!("{} reaches the vault: {passes}", from.name), || {
                let reached = probe(&from.netns, vault.ip(v6), Protocol::Tcp).is_ok();
                if reached == passes { Ok(()) } else { bail!("it is not so") }
            });
        }
    };
    reaches(&turncoat, true);

    let stopped = Stopped(&nodes[0]);
    signal(&nodes[0], "STOP");
    space.kubectl("delete pods gone-0 gone-1 gone-2 --wait=false").expect("a removal");
    space.kubectl("label pod turncoat role=stranger --overwrite").expect("a label");
    let new: Vec<Pod> = (0..3).map(|number| far(&format!("new-{number}"), "friend")).collect();
    let control = &space.cluster.control;
    control.compact().expect("etcd forgets its history");
    // The API server remembers for itself, but not across its end.
    control.kill(Component::ApiServer).expect("it is killed");
    control.start(Component::ApiServer).expect("it starts");
    control.await_ready().expect("it is ready");
    drop(stopped);

    synced(&space, &nodes[0]);
    space.until("the agent was told that its state is too old", || {
        let log = log(&space, &nodes[0])?;
        ensure!(log.contains("too old resource version") || log.contains("Expired"), "{log}");
        Ok(())
    });
    space.until("its peers are the other nodes' pods, and nobody else", || {
        let (known, wanted) = (peers(&nodes[0]), addresses(&space, &nodes[0])?);
        let (left, missing): (Vec<_>, Vec<_>) =
            (known.difference(&wanted).collect(), wanted.difference(&known).collect());
        ensure!(left.is_empty() && missing.is_empty(), "left {left:?}, missing {missing:?}");
        Ok(())
    });
    let all = peers(&nodes[0]);
    assert!(gone.iter().flat_map(|pod| &pod.ips).all(|ip| !all.contains(&ip.to_string())), "{all:?}");
    new.iter().chain([&friend]).for_each(|pod| reaches(pod, true));
    reaches(&turncoat, false);
    drop(echo);
}

/// The addresses of pods that a node's datapath knows by other nodes.
fn peers(node: &Node) -> BTreeSet<String> {
    let rows = ferrule(node, "map dump fr_peers");
    let pods = rows.as_array().into_iter().flatten().filter(|row| row["kind"] == "pod");
    let all: Vec<&str> = pods.filter_map(|row| row["address"].as_str()).collect();
    let set: BTreeSet<String> = all.iter().map(|ip| (*ip).to_owned()).collect();
    assert_eq!(set.len(), all.len(), "an address is there twice: {all:?}");
    set
}

/// The addresses of other nodes' pods, as the API server has them.
fn addresses(space: &Space, own: &Node) -> anyhow::Result<BTreeSet<String>> {
    let list: Value =
        serde_json::from_str(&space.cluster.kubectl(&["get", "pods", "--all-namespaces", "-o", "json"])?)?;
    let pods = list["items"].as_array().into_iter().flatten().filter(|pod| {
        let ended = ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase);
        pod["spec"]["nodeName"] != own.name() && pod["spec"]["hostNetwork"] != true && !ended
    });
    let ips = pods.flat_map(|pod| pod["status"]["podIPs"].as_array().cloned().unwrap_or_default());
    Ok(ips.filter_map(|ip| ip["ip"].as_str().map(str::to_owned)).collect())
}
