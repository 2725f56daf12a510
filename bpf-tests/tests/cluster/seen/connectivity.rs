//! `ferrule connectivity test`: on a cluster that works, and on one whose name server is gone.

use std::{process::Stdio, thread, time::Duration};

use anyhow::bail;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use test_kit::cluster::{Cluster, process::run};

use crate::support::Space;

/// Exit status and findings.
fn tested(cluster: &Cluster) -> (bool, Vec<Value>) {
    let mut command = cluster.control.ferrule().expect("ferrule");
    let output = command.args(["-o", "json", "connectivity", "test"]).output().expect("it runs");
    let (text, words) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let findings = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{words}"));
    (output.status.success(), findings)
}

fn failures(findings: &[Value]) -> Vec<&Value> {
    findings.iter().filter(|finding| finding["verdict"] == "failure").collect()
}

#[track_caller]
fn assert_nothing_left(space: &Space) {
    space.until("the test's namespace is gone", || {
        let left = space.cluster.kubectl(&[
            "get",
            "namespaces",
            "-l",
            "app.kubernetes.io/part-of=ferrule-connectivity",
            "-o",
            "name",
        ])?;
        if left.is_empty() { Ok(()) } else { bail!("{left}") }
    });
}

#[test]
fn a_cluster_that_works_passes() {
    let space = Space::new("passes");
    let (passed, findings) = tested(&space.cluster);
    assert!(passed && failures(&findings).is_empty(), "{findings:#?}");
    let words = |check: &str| -> Vec<&str> {
        let own = findings.iter().filter(|finding| finding["check"] == check);
        own.filter_map(|finding| finding["words"].as_str()).collect()
    };
    // Two families by two protocols: three pairs of pods in each direction or from each node, and whom they ask.
    for (check, ways) in [("same node", 8), ("other node", 16), ("host to pod", 24), ("Service", 20), ("DNS", 12)] {
        assert_eq!(words(check), [format!("{ways} ways work")], "{check}");
    }
    let policy = words("policy");
    assert_eq!(policy.len(), 5, "{policy:?}");
    assert!(policy.iter().any(|words| words.contains("denied by a policy after")), "{policy:?}");
    assert!(policy.iter().any(|words| words.contains("allowed by a policy after")), "{policy:?}");
    eprintln!("{}", policy.join("\n"));
    assert_nothing_left(&space);
}

/// Scales the name server back, whatever became of the test.
struct Dns(Cluster);

impl Dns {
    fn scale(&self, replicas: u8) {
        let line = format!("-n kube-system scale deployment coredns --replicas={replicas}");
        self.0.kubectl(&line.split(' ').collect::<Vec<_>>()).expect("a scale");
        if replicas > 0 {
            let line = "-n kube-system rollout status deployment/coredns --timeout=60s";
            self.0.kubectl(&line.split(' ').collect::<Vec<_>>()).expect("the name server is back");
        }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.scale(1);
    }
}

#[test]
fn what_is_broken_is_named() {
    let space = Space::new("broken");
    let dns = Dns(space.cluster.clone());
    dns.scale(0);
    space.until("no endpoint is left", || {
        let path = "jsonpath={.items[*].endpoints[*].addresses}";
        let slices =
            ["-n", "kube-system", "get", "endpointslices", "-l", "kubernetes.io/service-name=kube-dns", "-o", path];
        let left = space.cluster.kubectl(&slices)?;
        if left.is_empty() { Ok(()) } else { bail!("{left}") }
    });
    let (passed, findings) = tested(&space.cluster);
    let failures = failures(&findings);
    assert!(!passed && !failures.is_empty(), "{findings:#?}");
    for finding in failures {
        assert_eq!(finding["check"], "DNS", "{finding}");
        assert_eq!(finding["words"], "refused", "{finding}");
        let fix = finding["fix"].as_str().expect("a remedy");
        assert!(
            fix.contains("kube-system/kube-dns, which has no ready endpoint") && fix.contains("k8s-app=kube-dns"),
            "{fix}"
        );
    }
    drop(dns);
    assert_nothing_left(&space);
}

#[test]
fn an_interrupt_removes_what_was_made() {
    let space = Space::new("interrupt");
    let mut command = space.cluster.control.ferrule().expect("ferrule");
    // nsenter becomes the program: the number is the program's own.
    let child =
        command.args(["connectivity", "test"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it runs");
    space.until("its pods are there", || {
        let pods =
            space.cluster.kubectl(&["get", "pods", "--all-namespaces", "-l", "ferrule.dev/pod=a", "-o", "name"])?;
        if pods.is_empty() { bail!("none") } else { Ok(()) }
    });
    thread::sleep(Duration::from_millis(500));
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a number")), Signal::SIGINT).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.contains("interrupted"), "{words}");
    assert_nothing_left(&space);
}

#[test]
fn who_may_not_make_pods_is_told_so() {
    let space = Space::new("forbidden");
    let mut command = space.cluster.control.ferrule().expect("ferrule");
    // A node's own credentials make no namespaces.
    command.env("KUBECONFIG", space.cluster.control.kubeconfig("n1"));
    let words = run(command.args(["connectivity", "test"])).expect_err("a node must not").to_string();
    assert!(words.contains("forbidden"), "{words}");
}
