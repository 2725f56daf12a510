//! Where an agent's rights end: at its own node's objects, and at what its seccomp profile lets it call.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use test_kit::{
    cluster::{Cluster, Node},
    topology::Netns,
};

use crate::support::{Space, nodes};

const NAMESPACE: &str = "kube-system";
/// Nobody's address: the patches go to a dry run, and change nothing.
const ANNOTATION: &str = "ferrule.dev/pod-ips";

/// The API server as the agent of a node sees it: with a token that is bound to its pod. By `kubectl proxy`, since `kubectl patch`
/// reads what it patches, which agents may not.
struct Agent {
    proxy: Child,
    at: String,
    _kubeconfig: tempfile::NamedTempFile,
}

impl Agent {
    fn of(cluster: &Cluster, node: &Node) -> Result<Self> {
        let selector = format!("--field-selector=spec.nodeName={}", node.name());
        let words = ["-n", NAMESPACE, "get", "pods", "-l", "app.kubernetes.io/name=ferrule", &selector, "-o", "json"];
        let pods: Value = serde_json::from_str(&cluster.kubectl(&words)?)?;
        let pod = &pods["items"][0]["metadata"];
        let (name, uid) = (pod["name"].as_str().unwrap_or_default(), pod["uid"].as_str().unwrap_or_default());
        let (of_name, of_uid) = (format!("--bound-object-name={name}"), format!("--bound-object-uid={uid}"));
        let words = ["-n", NAMESPACE, "create", "token", "ferrule", "--bound-object-kind=Pod", &of_name, &of_uid];
        let token = cluster.kubectl(&words)?;
        let admin: Value =
            serde_json::from_str(&cluster.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"])?)?;
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "agent",
            "clusters": [{"name": "it", "cluster": admin["clusters"][0]["cluster"]}],
            "users": [{"name": "agent", "user": {"token": token.trim()}}],
            "contexts": [{"name": "agent", "context": {"cluster": "it", "user": "agent"}}],
        });
        let kubeconfig = tempfile::NamedTempFile::new()?;
        fs::write(kubeconfig.path(), config.to_string())?;
        let mut kubectl = cluster.kubectl_command();
        kubectl.arg("--kubeconfig").arg(kubeconfig.path()).args(["proxy", "--port=0"]);
        let mut proxy = kubectl.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(proxy.stdout.take().context("no output")?).read_line(&mut line)?;
        let at = line.trim().rsplit(' ').next().context("an address")?.to_owned();
        Ok(Self { proxy, at, _kubeconfig: kubeconfig })
    }

    /// What the API server says to a merge patch that changes nothing in the end.
    fn patch(&self, path: &str, patch: &Value) -> Result<(bool, String)> {
        let body = patch.to_string();
        // It listens where the control plane is.
        let there = Netns::at("proxy", format!("/proc/{}/ns/net", self.proxy.id()).into());
        let mut stream = there.enter(|| TcpStream::connect(&self.at))??;
        write!(
            stream,
            "PATCH /api/v1/{path}?dryRun=All HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/merge-patch+json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let done = answer.split(' ').nth(1) == Some("200");
        Ok((done, answer))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

#[test]
fn an_agent_writes_to_its_own_node_alone() {
    let space = Space::new("own-node");
    let [n1, n2] = [nodes().remove(0), nodes().remove(1)];
    let pod = |name: &str, node: &Node| space.pod(name, node.name(), &[]);
    let (_own, _other) = (pod("own", &n1), pod("other", &n2));
    let agent = Agent::of(&space.cluster, &n1).expect("a token of its pod");
    let check = |path: &str, patch: Value, taken: bool| {
        let (done, said) = agent.patch(path, &patch).expect("an answer");
        // A refusal of the policy's, not of some other right that is lacking.
        let refused = said.contains("ferrule-own-node");
        assert!(done == taken && refused != taken, "{path} {patch}: {said}");
    };
    let announcement = json!({"metadata": {"annotations": {ANNOTATION: "u/10.0.0.1"}}});
    let status = |name: &str| format!("namespaces/{}/pods/{name}/status", space.name);
    check(&status("own"), announcement.clone(), true);
    check(&status("other"), announcement, false);
    check(&status("own"), json!({"metadata": {"labels": {"app": "db"}}}), false);
    let condition = json!({"status": {"phase": "Running"}});
    for (node, taken) in [(&n1, true), (&n2, false)] {
        check(&format!("nodes/{}/status", node.name()), condition.clone(), taken);
    }
    let of = |node: &Node| format!("nodes/{}", node.name());
    // Of the spec the start taint goes, and nothing else changes.
    let taint = format!("taint node {} ferrule.dev/agent-not-ready=:NoSchedule other=:PreferNoSchedule", n1.name());
    let taint: Vec<&str> = taint.split(' ').collect();
    let outcome = space.cluster.kubectl(&taint).map(|_| {
        let other = json!({"key": "other", "effect": "PreferNoSchedule"});
        check(&of(&n1), json!({"spec": {"taints": [other]}}), true);
        check(&of(&n1), json!({"spec": {"taints": []}}), false);
        let more = json!({"key": "more", "effect": "NoExecute"});
        check(&of(&n1), json!({"spec": {"taints": [other, more]}}), false);
    });
    let _ = space.cluster.kubectl(&["taint", "node", n1.name(), "other-"]);
    outcome.expect("taints");
    check(&of(&n1), json!({"spec": {"unschedulable": true}}), false);
    check(&of(&n1), json!({"metadata": {"labels": {"a": "b"}}}), false);
    check(&of(&n2), json!({"spec": {"unschedulable": true}}), false);
    bound_with_an_address(&space).expect("a Binding announces nothing");
}

/// A Binding's annotations become its pod's.
fn bound_with_an_address(space: &Space) -> Result<()> {
    space.apply(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "unbound"},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "none"}]},
    }));
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": "unbound", "annotations": {ANNOTATION: "u/10.0.0.1"}},
        "target": {"apiVersion": "v1", "kind": "Node", "name": nodes()[0].name()},
    });
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), binding.to_string())?;
    let raw = format!("/api/v1/namespaces/{}/pods/unbound/binding", space.name);
    let output = space.cluster.kubectl_command().args(["create", "--raw", &raw, "-f"]).arg(file.path()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && said.contains("ferrule-pod-addresses"), "{said}");
    Ok(())
}

/// `Seccomp: 2` is a filter (proc_pid_status(5)).
#[test]
fn the_agents_calls_are_filtered() {
    for node in nodes() {
        let process = node.machine.run("pgrep -o -f ferrule-agent.run").expect("it runs");
        let status = node.machine.run(&format!("cat /proc/{}/status", process.trim())).expect("it runs");
        let seccomp = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim);
        assert_eq!(seccomp, Some("2"), "{}: {status}", node.name());
    }
}
