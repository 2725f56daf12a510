//! The folder of manifests: what is broken in it, and what is mended.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Layout, Node, patience, until},
    traffic::{Echo, Ping},
};

use crate::support::{address, within};

fn issues(node: &Node) -> String {
    node.ferrule("status").unwrap_or_default()["issues"].to_string()
}

fn policy(ingress: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\n\
         spec: {{podSelector: {{}}, ingress: {ingress}}}\n"
    )
}

#[test]
fn a_policy_that_cannot_be_read_closes_its_pods_and_its_error_goes_when_it_is_mended() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let (a, b) = (node.add("a")?, node.add("b")?);
        cluster.publish(&a, node)?;
        cluster.publish(&b, node)?;
        let _server = Echo::start(&b.netns, &b.addresses);
        let to = address(&b, true)?;
        let passes = || Ping::to(to).once(&a.netns).is_ok();
        ensure!(passes(), "nothing isolates it yet");
        for round in 0..3 {
            // What else is broken has an error of its own.
            cluster
                .manifests
                .write("q", "apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nstatus: {podIPs: [{ip: x}]}\n")?;
            cluster.manifests.write("p", &policy("7"))?;
            until(
                "the error",
                || issues(node),
                |issues| issues.contains("spec.ingress: is not a list") && issues.contains("Pod default/q"),
            )?;
            let closed = until("it to be closed", passes, |passes| !passes);
            closed.with_context(|| format!("in round {round}"))?;
            cluster.manifests.write("q", "")?;
            cluster.manifests.write("p", &policy("[{}]"))?;
            let since = Instant::now();
            until("it to be open", passes, |passes| *passes)?;
            until(
                "no error",
                || issues(node),
                |issues| !issues.contains("NetworkPolicy") && !issues.contains("default/q"),
            )?;
            let took = since.elapsed();
            ensure!(took < patience(Duration::from_secs(3)), "its error stood for {took:?}");
            cluster.manifests.remove("p")?;
            until(
                "it to be forgotten",
                || node.ferrule("policy list").unwrap_or_default().to_string(),
                |all| !all.contains("default/p"),
            )?;
        }
        Ok(())
    });
}

#[test]
fn what_is_no_file_is_told_and_the_rest_goes_on() -> Result<()> {
    let mut outcome = Ok(());
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let path = cluster.manifests.folder().join("a.yaml");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU)?;
        until("the issue", || issues(node), |issues| issues.contains("a.yaml: is a FIFO"))?;
        cluster
            .manifests
            .write("z", "apiVersion: v1\nkind: Pod\nmetadata: {name: q}\nstatus: {podIPs: [{ip: x}]}\n")?;
        until("what came later", || issues(node), |issues| issues.contains("default/q"))?;
        std::fs::remove_file(path)?;
        outcome = until("no issue", || issues(node), |issues| !issues.contains("FIFO")).map(drop);
        Ok(())
    });
    outcome
}

/// A policy whose rules come to thirty thousand pairs of a peer and a port: two of a pod's are too many.
fn large(name: &str) -> String {
    let peers: Vec<String> =
        (0..1000).map(|n| format!("{{podSelector: {{matchLabels: {{n: '{name}{n}'}}}}}}")).collect();
    let ports: Vec<String> = (0..30).map(|n| format!("{{port: {}}}", 2 * n + 1)).collect();
    policy(&format!("[{{from: [{}], ports: [{}]}}]", peers.join(", "), ports.join(", ")))
        .replace("{name: p}", &format!("{{name: {name}}}"))
}

#[test]
fn an_error_goes_with_its_cause() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let pod = node.add("a")?;
        cluster.publish(&pod, node)?;
        cluster.manifests.write("large", &large("large"))?;
        let object = |kind: &str, rest: &str| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: q}}\n{rest}\n");
        let cases = [
            ("syntax", "kind: [".to_owned(), object("Namespace", ""), "x.yaml"),
            ("a pod", object("Pod", "status: {podIPs: [{ip: x}]}"), object("Pod", ""), "podIPs"),
            ("a Service", object("Service", "spec: {clusterIP: x}"), object("Service", ""), "clusterIP"),
            (
                "a node",
                object("Node", "spec: {podCIDRs: [x]}"),
                object("Node", "spec: {podCIDRs: [10.77.0.0/24]}"),
                "no prefix length",
            ),
            ("a policy", policy("7"), policy("[{}]"), "spec.ingress"),
            ("policies", large("more"), policy("[{}]").replace("{name: p}", "{name: more}"), "may have"),
        ];
        for (what, broken, mended, words) in cases {
            for round in 0..3 {
                cluster.manifests.write("x", &broken)?;
                let said = until(&format!("the error of {what}"), || issues(node), |issues| issues.contains(words))?;
                // A round of everything would say it as well.
                cluster.manifests.write("x", &mended)?;
                let since = Instant::now();
                let gone = until("its end", || issues(node), |issues| !issues.contains(words));
                gone.with_context(|| format!("{what} in round {round}: {said}"))?;
                let took = since.elapsed();
                ensure!(
                    took < patience(Duration::from_secs(3)),
                    "{what} in round {round}: it stood for {took:?}: {said}"
                );
            }
        }
        Ok(())
    });
}
