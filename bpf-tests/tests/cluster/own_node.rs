//! Where an agent's rights end: at its own node's objects, and at what its seccomp profile lets it call.

use std::fs;

use anyhow::{Result, ensure};
use bpf_tests::cluster::{Cluster, Node};
use serde_json::{Value, json};

use crate::support::{Space, nodes};

const NAMESPACE: &str = "kube-system";
/// Nobody's address: the patches go to a dry run, and change nothing.
const ANNOTATION: &str = "ferrule.dev/pod-ips";

/// `kubectl` as the agent of a node: with a token that is bound to its pod.
struct Agent {
    cluster: Cluster,
    kubeconfig: tempfile::NamedTempFile,
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
        Ok(Self { cluster: cluster.clone(), kubeconfig })
    }

    /// What the API server says to a patch that changes nothing in the end.
    fn patch(&self, what: &[&str], patch: &Value) -> (bool, String) {
        let mut kubectl = self.cluster.kubectl_command();
        kubectl.arg("--kubeconfig").arg(self.kubeconfig.path()).arg("patch").args(what);
        kubectl.args(["--dry-run=server", "--type=merge", "-p", &patch.to_string()]);
        let output = kubectl.output().expect("kubectl runs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    }
}

#[test]
fn an_agent_writes_to_its_own_node_alone() {
    let space = Space::new("own-node");
    let [n1, n2] = [nodes().remove(0), nodes().remove(1)];
    let pod = |name: &str, node: &Node| space.pod(name, node.name(), &[]);
    let (_own, _other) = (pod("own", &n1), pod("other", &n2));
    let agent = Agent::of(&space.cluster, &n1).expect("a token of its pod");
    let check = |what: &[&str], patch: Value, taken: bool| {
        let (done, said) = agent.patch(what, &patch);
        // A refusal of the policy's, not of some other right that is lacking.
        let refused = said.contains("ferrule-own-node");
        assert!(done == taken && refused != taken, "{what:?} {patch}: {said}");
    };
    let announcement = json!({"metadata": {"annotations": {ANNOTATION: "u/10.0.0.1"}}});
    let status = |name: &'static str| ["pod", name, "-n", space.name.as_str(), "--subresource=status"];
    check(&status("own"), announcement.clone(), true);
    check(&status("other"), announcement, false);
    let condition = json!({"status": {"phase": "Running"}});
    for (node, taken) in [(&n1, true), (&n2, false)] {
        check(&["node", node.name(), "--subresource=status"], condition.clone(), taken);
    }
    // Of the spec the start taint goes, and nothing else changes.
    let taint = format!("taint node {} ferrule.dev/agent-not-ready=:NoSchedule other=:PreferNoSchedule", n1.name());
    let taint: Vec<&str> = taint.split(' ').collect();
    let outcome = space.cluster.kubectl(&taint).map(|_| {
        let other = json!({"key": "other", "effect": "PreferNoSchedule"});
        check(&["node", n1.name()], json!({"spec": {"taints": [other]}}), true);
        check(&["node", n1.name()], json!({"spec": {"taints": []}}), false);
        let more = json!({"key": "more", "effect": "NoExecute"});
        check(&["node", n1.name()], json!({"spec": {"taints": [other, more]}}), false);
    });
    let _ = space.cluster.kubectl(&["taint", "node", n1.name(), "other-"]);
    outcome.expect("taints");
    check(&["node", n1.name()], json!({"spec": {"unschedulable": true}}), false);
    check(&["node", n1.name()], json!({"metadata": {"labels": {"a": "b"}}}), false);
    check(&["node", n2.name()], json!({"spec": {"unschedulable": true}}), false);
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
