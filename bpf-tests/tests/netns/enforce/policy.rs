//! Policies between pods that another plugin connects.

use std::{fmt::Write, net::IpAddr};

use anyhow::{Context, Result, bail, ensure};
use test_kit::{
    topology::{Cluster, Layout, Pod, until},
    traffic::{Echo, Flow, Protocol, probe},
};

use super::Maker;
use crate::support::within;

/// Only `app: a` reaches `app: b`, by TCP at the echo servers' port.
const ALLOW: &str = "{podSelector: {matchLabels: {app: b}}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}], \
                     ports: [{port: 7007}]}]}";
/// Nobody reaches `app: b`.
const DENY: &str = "{podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}";
/// `app: a` reaches nobody.
const MUTE: &str = "{podSelector: {matchLabels: {app: a}}, policyTypes: [Egress]}";

fn apply(cluster: &Cluster, spec: &str) -> Result<()> {
    let policy = format!(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: default}}\nspec: {spec}\n"
    );
    cluster.manifests.write("policy", &policy)
}

/// As the API server would have them, with a label of the pod's name.
fn publish(cluster: &Cluster, pods: &[(&str, &[IpAddr])]) -> Result<()> {
    let mut text = String::new();
    for (name, addresses) in pods {
        let ips: Vec<_> = addresses.iter().map(|ip| format!("{{ip: \"{ip}\"}}")).collect();
        let ips = ips.join(", ");
        write!(
            text,
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}\n\
             spec: {{nodeName: n1}}\nstatus: {{phase: Running, podIPs: [{ips}]}}\n"
        )?;
    }
    cluster.manifests.write("pods", &text)
}

/// Until `from` reaches `to`, or does not, by both families.
fn reaches(from: &Pod, to: &Pod, protocol: Protocol, expected: bool) -> Result<()> {
    for address in &to.addresses {
        let asked = || probe(&from.netns, *address, protocol).is_ok();
        let words = format!("{protocol} from {} to {address} to be {expected}", from.name);
        until(&words, asked, |found| *found == expected)?;
    }
    Ok(())
}

fn check(maker: Maker) {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b, c) = (maker.add(node, "a")?, maker.add(node, "b")?, maker.add(node, "c")?);
        publish(cluster, &[("a", &a.addresses), ("b", &b.addresses), ("c", &c.addresses)])?;
        let _servers = (Echo::start(&b.netns, &b.addresses)?, Echo::start(&c.netns, &c.addresses)?);
        for from in [&a, &c] {
            reaches(from, &b, Protocol::Tcp, true)?;
        }
        let flows =
            |from: &Pod| -> Result<Vec<Flow>> { b.addresses.iter().map(|ip| Flow::start(&from.netns, *ip)).collect() };
        let (allowed, cut) = (flows(&a)?, flows(&c)?);
        apply(cluster, ALLOW)?;
        reaches(&c, &b, Protocol::Tcp, false)?;
        reaches(&a, &b, Protocol::Tcp, true)?;
        reaches(&a, &b, Protocol::Udp, false)?;
        for flow in cut {
            if let Ok(longest) = flow.end() {
                bail!("a flow that is denied now went on, {longest:?} at the longest");
            }
        }
        for flow in allowed {
            flow.end().context("a flow that is still allowed")?;
        }
        let cut = flows(&a)?;
        apply(cluster, DENY)?;
        reaches(&a, &b, Protocol::Tcp, false)?;
        // Its own node's packets pass: kubelet's probes.
        for address in &b.addresses {
            probe(&node.netns, *address, Protocol::Tcp).context("from the node itself")?;
        }
        reaches(&b, &c, Protocol::Tcp, true)?;
        ensure!(cut.into_iter().all(|flow| flow.end().is_err()), "a denied flow went on");
        apply(cluster, MUTE)?;
        reaches(&c, &b, Protocol::Tcp, true)?;
        reaches(&a, &b, Protocol::Tcp, false)?;
        ensure!(node.count("from_pod", "policy-egress")? > 0, "the egress policy decided");
        cluster.manifests.remove("policy")?;
        reaches(&a, &b, Protocol::Udp, true)
    });
}

#[test]
fn a_policy_allows_denies_and_cuts_between_pods_of_a_bridge() {
    check(Maker::Bridge);
}

#[test]
fn a_policy_allows_denies_and_cuts_between_pods_of_ptp() {
    check(Maker::Ptp);
}

#[test]
fn a_policy_that_is_there_first_holds_when_add_returns() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        publish(cluster, &[("a", &[]), ("b", &[])])?;
        apply(cluster, "{podSelector: {}, policyTypes: [Ingress, Egress]}")?;
        let listed = || node.ferrule("policy list").unwrap_or_default().to_string();
        until("the policy to be known", listed, |found| found.contains("default"))?;
        let (a, b) = (Maker::Bridge.add(node, "a")?, Maker::Bridge.add(node, "b")?);
        let _servers = Echo::start(&b.netns, &b.addresses)?;
        for address in &b.addresses {
            let found = probe(&a.netns, *address, Protocol::Tcp);
            ensure!(found.is_err(), "{address} was reached");
        }
        Ok(())
    });
}
