//! Every right that the chart gives the agent is in use: without it something breaks, and the words name it.
//!
//! The node's own agent makes room for one with less: a pod like the DaemonSet's, by a service account of its own.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Result, bail};
use serde_json::{Value, json};
use test_kit::cluster::{Cluster, Node, install, process::wait};

use crate::support::{SOON, Space, nodes};

const NAMESPACE: &str = "kube-system";
const LESS: &str = "ferrule-less";

/// The agent's rights, and a node without its agent.
struct Bare {
    cluster: Cluster,
    node: Node,
    daemonset: Value,
    rules: Vec<Value>,
}

impl Bare {
    fn new(cluster: &Cluster, node: Node) -> Self {
        let read = |kind: &str| -> Value {
            let text =
                cluster.kubectl(&["-n", NAMESPACE, "get", kind, "ferrule", "-o", "json"]).expect("it is installed");
            serde_json::from_str(&text).expect("JSON")
        };
        let (daemonset, role) = (read("daemonset"), read("clusterrole"));
        let rules = role["rules"].as_array().expect("rules").clone();
        let bare = Self { cluster: cluster.clone(), node, daemonset, rules };
        // The other agents go on without their DaemonSet.
        bare.kubectl("delete daemonset ferrule --cascade=orphan").expect("it goes");
        let field = format!("--field-selector=spec.nodeName={}", bare.node.name());
        bare.kubectl(&format!("delete pods -l app.kubernetes.io/name=ferrule {field} --grace-period=0 --force"))
            .expect("it goes");
        ended(&bare.node);
        bare
    }

    fn kubectl(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = ["-n", NAMESPACE].into_iter().chain(line.split(' ')).collect();
        self.cluster.kubectl(&words)
    }

    fn capabilities(&self) -> Vec<String> {
        let added =
            &self.daemonset["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]["add"];
        added.as_array().expect("capabilities").iter().filter_map(|one| one.as_str().map(str::to_owned)).collect()
    }

    /// Every verb on every resource, as `verb resource`.
    fn verbs(&self) -> BTreeSet<String> {
        let all = |value: &Value| -> Vec<String> {
            value.as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
        };
        let pairs = |rule: &Value| -> Vec<String> {
            let verbs = all(&rule["verbs"]);
            all(&rule["resources"])
                .iter()
                .flat_map(|resource| verbs.iter().map(move |verb| format!("{verb} {resource}")))
                .collect()
        };
        self.rules.iter().flat_map(pairs).collect()
    }

    /// Starts an agent without these rights.
    fn start(&self, capability: Option<&str>, verbs: &[&str]) -> Less<'_> {
        let mut rules = Vec::new();
        for rule in &self.rules {
            for resource in rule["resources"].as_array().expect("resources") {
                let lacks = |verb: &Value| {
                    let pair =
                        format!("{} {}", verb.as_str().unwrap_or_default(), resource.as_str().unwrap_or_default());
                    verbs.contains(&pair.as_str())
                };
                let kept: Vec<&Value> =
                    rule["verbs"].as_array().expect("verbs").iter().filter(|verb| !lacks(verb)).collect();
                if !kept.is_empty() {
                    rules.push(json!({"apiGroups": rule["apiGroups"], "resources": [resource], "verbs": kept}));
                }
            }
        }
        let mut pod = self.daemonset["spec"]["template"]["spec"].clone();
        pod["nodeName"] = json!(self.node.name());
        pod["serviceAccountName"] = json!(LESS);
        pod["restartPolicy"] = json!("Never");
        pod["terminationGracePeriodSeconds"] = json!(0);
        pod["initContainers"] = Value::Null;
        let container = &mut pod["containers"][0];
        // A kubelet without groups of its own for pods trips over those of a pod that is not restarted.
        container["resources"] = json!({});
        container["startupProbe"] = Value::Null;
        container["livenessProbe"] = Value::Null;
        container["readinessProbe"]["periodSeconds"] = json!(1);
        let given: Vec<String> =
            self.capabilities().into_iter().filter(|one| Some(one.as_str()) != capability).collect();
        container["securityContext"]["capabilities"]["add"] = json!(given);
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": LESS});
        let objects = [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": LESS, "namespace": NAMESPACE}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": LESS}, "rules": rules}),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": LESS},
                "roleRef": role, "subjects": [{"kind": "ServiceAccount", "name": LESS, "namespace": NAMESPACE}],
            }),
            // The label makes it one of the agents that speak of what all of them see.
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": LESS, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": "ferrule"}},
                "spec": pod,
            }),
        ];
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.cluster.apply(&list.to_string()).expect("an agent with less");
        Less(self)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.kubectl(&format!("delete clusterrole,clusterrolebinding {LESS}"));
        let _ = self.kubectl(&format!("delete serviceaccount {LESS}"));
        let manifest = fs::read_to_string(install::deployment().1).expect("the manifest");
        install::apply(&self.cluster, &manifest).expect("the manifest is applied");
        // The new DaemonSet counts its templates anew, and might take a pod of the former one for one of a later template.
        self.kubectl("delete pods -l app.kubernetes.io/name=ferrule").expect("the former one's pods go");
        install::await_ready(&self.cluster).expect("Ferrule is ready again");
    }
}

/// An agent with fewer rights, ended when it is dropped.
struct Less<'a>(&'a Bare);

impl Less<'_> {
    fn log(&self) -> String {
        self.0.kubectl(&format!("logs {LESS}")).unwrap_or_default()
    }

    /// Waits until its log, or what it says of itself, holds all of these words in one line each.
    #[track_caller]
    fn says(&self, lines: &[&[&str]]) {
        wait("it says what is missing", SOON, || {
            let text = format!("{}\n{}", self.log(), self.0.node.ferrule("status").unwrap_or_default());
            // The log quotes what it says once more.
            let text = text.replace('\\', "");
            for words in lines {
                if !text.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                    bail!("{words:?}: {text}");
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Waits until it is ready.
    fn ready(&self) -> Result<()> {
        wait("it is ready", Duration::from_secs(20), || {
            let path = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
            let ready = self.0.kubectl(&format!("get pod {LESS} -o {path}"))?;
            if ready == "True" { Ok(()) } else { bail!("{ready}: {}", self.log()) }
        })
    }
}

/// Waits until no agent runs on a node: its lock goes with its process, a moment after its pod.
fn ended(node: &Node) {
    let gone = wait("its agent has ended", SOON, || {
        if node.machine.run("pgrep -f ferrule-agent.run").is_ok() { bail!("it runs") } else { Ok(()) }
    });
    gone.expect("an agent ends");
}

impl Drop for Less<'_> {
    fn drop(&mut self) {
        let _ = self.0.kubectl(&format!("delete pod {LESS} --grace-period=0 --force"));
        ended(&self.0.node);
    }
}

#[test]
fn without_any_of_its_capabilities_the_agent_says_which() {
    let space = Space::new("capabilities");
    let bare = Bare::new(&space.cluster, first());
    bare.start(None, &[]).ready().expect("with all of them it works");
    for capability in bare.capabilities() {
        let less = bare.start(Some(&capability), &[]);
        less.says(&[&["this node cannot run Ferrule"], &[&format!("CAP_{capability}")]]);
    }
}

#[test]
fn without_any_of_its_verbs_something_breaks_by_name() {
    let space = Space::new("verbs");
    let bare = Bare::new(&space.cluster, first());
    let name = bare.node.name().to_owned();
    let mut tried = BTreeSet::new();
    let kinds = ["nodes", "namespaces", "pods", "services", "networkpolicies", "endpointslices"];
    // Of each kind for itself: none hides another.
    for verb in ["list", "watch"] {
        let lacking: Vec<String> = kinds.iter().map(|kind| format!("{verb} {kind}")).collect();
        let lacking: Vec<&str> = lacking.iter().map(String::as_str).collect();
        let less = bare.start(None, &lacking);
        let lines: Vec<Vec<String>> = kinds
            .iter()
            .map(|kind| vec![format!("{kind} cannot be watched"), format!("cannot {verb} resource \"{kind}\"")])
            .collect();
        let lines: Vec<Vec<&str>> = lines.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
        less.says(&lines.iter().map(Vec::as_slice).collect::<Vec<_>>());
        tried.extend(lacking.iter().map(|pair| (*pair).to_owned()));
    }

    // What the Node object is told, where there is something to tell.
    let told = "the Node object cannot be told";
    for pair in ["get nodes", "patch nodes", "patch nodes/status"] {
        let taint = format!("taint node {name} ferrule.dev/agent-not-ready=:NoSchedule --overwrite");
        bare.kubectl(&taint).expect("a taint");
        let unset = json!({"status": {"conditions": [{"type": "NetworkUnavailable", "$patch": "delete"}]}}).to_string();
        let patch = ["patch", "node", &name, "--subresource=status", "--type=strategic", "-p", &unset];
        bare.cluster.kubectl(&patch).expect("a patch");
        let (verb, resource) = pair.split_once(' ').expect("two words");
        let less = bare.start(None, &[pair]);
        less.says(&[&[told, &format!("cannot {verb} resource \"{resource}\"")]]);
        tried.insert(pair.to_owned());
    }

    // A pod's address, and an Event on an object with a bad value.
    let less = bare.start(None, &["patch pods/status", "create events"]);
    less.ready().expect("it serves all the same");
    space.pod("web", &name, &[]);
    bad_service(&space, true);
    less.says(&[
        &["a pod's addresses cannot be announced", "cannot patch resource \"pods/status\""],
        &["an Event cannot be written", "cannot create resource \"events\""],
    ]);
    bad_service(&space, false);
    drop(less);
    tried.extend(["patch pods/status".to_owned(), "create events".to_owned()]);

    // An Event that is said again is counted on the one that is there.
    let less = bare.start(None, &["patch events"]);
    less.ready().expect("it serves all the same");
    for there in [true, false, true] {
        bad_service(&space, there);
    }
    less.says(&[&["an Event cannot be written", "cannot patch resource \"events\""]]);
    drop(less);
    tried.insert("patch events".to_owned());
    assert_eq!(tried, bare.verbs(), "every verb was taken away");
}

/// A Service with what needs kube-proxy, which is not here; waits until the agent sees it, or sees it gone.
#[track_caller]
fn bad_service(space: &Space, there: bool) {
    if there {
        space.apply(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "bad"},
            "spec": {"selector": {"app": "bad"}, "ports": [{"port": 9, "protocol": "SCTP"}]},
        }));
    } else {
        space.kubectl("delete service bad").expect("it goes");
    }
    let node = first();
    space.until("the agent sees it", || {
        let status = node.ferrule("status")?;
        if status.contains("/bad") == there { Ok(()) } else { bail!("{status}") }
    });
}

/// The node that speaks of what all nodes see.
fn first() -> Node {
    nodes().remove(0)
}
