//! A pod and its own node: probes always pass; the other way is a setting's.

use std::{net::IpAddr, thread, time::Duration};

use anyhow::{Context, Result};
use test_kit::{
    topology::{Layout, Netns},
    traffic::Ping,
};

use super::{
    door::{Door, Knocking},
    town::within,
};

/// Neither way anything.
const NOTHING: (&str, &str) = ("x/nothing", "podSelector: {}, policyTypes: [Ingress, Egress]");

/// That one reaches another, or does not.
fn reaches(from: &Netns, to: &[IpAddr], expected: bool, what: &str) -> Result<()> {
    let knocking = Knocking::start(from, to, expected);
    thread::sleep(Duration::from_millis(200));
    let ended = if expected { knocking.was_always_let_in() } else { knocking.was_never_let_in() };
    ended.map(drop).with_context(|| what.to_owned())
}

/// What a pod that may nothing exchanges with nodes and itself.
fn check(arguments: &'static [&'static str], pod_reaches_own_node: bool) {
    within(&Layout { arguments, ..Layout::default() }, |town| {
        let pod = town.pod("x/pod", 1, "app: pod")?;
        let (own, other) = (town.node(1), town.node(2));
        let _doors = [&pod.netns, &own.netns, &other.netns].map(Door::open).into_iter().collect::<Result<Vec<_>>>()?;
        for (from, to) in [(&own.netns, &pod.addresses), (&pod.netns, &own.addresses), (&pod.netns, &other.addresses)] {
            reaches(from, to, true, "before there is a policy")?;
        }
        town.policies(&[NOTHING])?;
        town.settle()?;
        reaches(&own.netns, &pod.addresses, true, "a probe of its node")?;
        pod.addresses.iter().try_for_each(|to| Ping::to(*to).once(&own.netns).map(drop)).context("its node's ping")?;
        reaches(&pod.netns, &own.addresses, pod_reaches_own_node, "the pod to its own node")?;
        reaches(&pod.netns, &other.addresses, false, "the pod to the other node")?;
        reaches(&other.netns, &pod.addresses, false, "the other node to the pod")?;
        reaches(&pod.netns, &pod.addresses, true, "the pod to itself")?;
        let blocks = |addresses: &[IpAddr]| {
            let block =
                |ip: &IpAddr| format!("{{ipBlock: {{cidr: \"{ip}/{}\"}}}}", if ip.is_ipv4() { 32 } else { 128 });
            addresses.iter().map(block).collect::<Vec<_>>().join(", ")
        };
        let spec = format!(
            "podSelector: {{}}, policyTypes: [Ingress, Egress], ingress: [{{from: [{}]}}], egress: [{{to: [{}]}}]",
            blocks(&other.addresses),
            blocks(&own.addresses)
        );
        town.policies(&[("x/some", &spec)])?;
        town.settle()?;
        reaches(&pod.netns, &own.addresses, true, "the pod to its own node, by a rule")?;
        reaches(&pod.netns, &other.addresses, false, "the pod to the other node, still")
    });
}

#[test]
fn probes_pass_and_a_pod_reaches_its_own_node() {
    check(&[], true);
}

#[test]
fn probes_pass_where_what_a_pod_sends_to_its_own_node_is_policed() {
    check(&["--own-node-egress", "policed"], false);
}
