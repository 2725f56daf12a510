//! A test's namespace of the cluster.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use test_kit::cluster::{Cluster, Node, images::AGNHOST, process::wait};

use super::{Pod, SOON};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The namespace, removed with all that is in it when this is dropped.
pub struct Space {
    /// The cluster.
    pub cluster: Cluster,
    /// The namespace's name.
    pub name: String,
}

/// The cluster's nodes.
pub fn nodes() -> Vec<Node> {
    let cluster = Cluster::from_env().expect("a cluster");
    let nodes = cluster.nodes();
    assert!(nodes.len() >= 2, "these tests need a cluster of two nodes: `cargo xtask test cluster` starts one");
    nodes
}

impl Space {
    /// A new one, by a name that says whose it is.
    pub fn new(test: &str) -> Self {
        nodes();
        let cluster = Cluster::from_env().expect("a cluster");
        let name = format!("{test}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let space = Self { cluster, name };
        space.apply(json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": space.name, "labels": {"test": test}},
        }));
        // Pods are refused before its service account is there.
        wait("the service account", SOON, || space.get("serviceaccount", "default")).expect("a namespace can be used");
        space
    }

    /// Applies an object of it.
    #[track_caller]
    pub fn apply(&self, mut object: Value) {
        if object["kind"] != "Namespace" {
            object["metadata"]["namespace"] = json!(self.name);
        }
        self.cluster.apply(&object.to_string()).unwrap_or_else(|error| panic!("{object:#}: {error:#}"));
    }

    /// `kubectl` within it.
    pub fn kubectl(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(line.split_whitespace()).collect();
        self.cluster.kubectl(&words)
    }

    /// An object.
    pub fn get(&self, kind: &str, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl(&format!("get {kind} {name} -o json"))?)?)
    }

    /// A pod of agnhost on a node that sleeps, not waited for; `more` goes over its object.
    #[track_caller]
    pub fn create(&self, name: &str, node: &str, labels: &[(&str, &str)], arguments: &[&str], more: Value) {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "nodeName": node,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": AGNHOST, "args": arguments}],
            },
        });
        merge(&mut object, more);
        self.apply(object);
    }

    /// A pod that serves HTTP at 8080 and answers UDP at 8081, once it runs.
    #[track_caller]
    pub fn pod(&self, name: &str, node: &str, labels: &[(&str, &str)]) -> Pod {
        self.create(name, node, labels, &["netexec", "--http-port=8080", "--udp-port=8081"], json!({}));
        self.running(name)
    }

    /// Waits until a pod runs and is ready.
    #[track_caller]
    pub fn running(&self, name: &str) -> Pod {
        let nodes = nodes();
        wait(&format!("pod {name} is ready"), SOON, || {
            let object = self.get("pod", name)?;
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            if !conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True") {
                bail!("{}", object["status"]);
            }
            Pod::read(&object, &nodes)
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.describe(name)))
    }

    fn describe(&self, name: &str) -> String {
        self.kubectl(&format!("describe pod {name}")).unwrap_or_default()
    }

    /// Whether a program in `from` connects to an address and port by TCP.
    pub fn connects(&self, from: &Pod, to: &str) -> Result<()> {
        self.exec(from, &format!("/agnhost connect {to} --timeout=2s")).map(drop)
    }

    /// A program of a pod's container, to its end.
    pub fn exec(&self, pod: &Pod, line: &str) -> Result<String> {
        self.kubectl(&format!("exec {} -- {line}", pod.name))
    }

    /// Waits for it.
    #[track_caller]
    pub fn until(&self, what: &str, mut works: impl FnMut() -> Result<()>) {
        wait(what, SOON, &mut works).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Waits until no pods of other tests are left.
    #[track_caller]
    pub fn alone(&self) {
        // Those that a killed test left, too.
        let stale = format!("metadata.name!={}", self.name);
        let removal = ["delete", "namespace", "-l", "test", "--field-selector", &stale, "--wait=false"];
        self.cluster.kubectl(&removal).expect("other tests' namespaces can be removed");
        self.until("other tests' pods are gone", || {
            let all = self.cluster.kubectl(&["get", "pods", "--all-namespaces", "--no-headers"])?;
            let others: Vec<&str> =
                all.lines().filter(|line| !line.starts_with("kube-system ") && !line.starts_with(&self.name)).collect();
            if !others.is_empty() {
                bail!("{}", others.join("\n"));
            }
            // A pod that is removed by force has its network for a moment longer than its object.
            for node in nodes() {
                let endpoints = ferrule(&node, "endpoint list");
                let pods = endpoints.as_array().into_iter().flatten().filter_map(|one| one["pod"].as_str());
                let others: Vec<&str> = pods.filter(|pod| !pod.starts_with("kube-system/")).collect();
                if !others.is_empty() {
                    bail!("{}: {}", node.name(), others.join(", "));
                }
            }
            Ok(())
        });
    }

    /// Waits until a Deployment or StatefulSet has rolled out.
    #[track_caller]
    pub fn rolled_out(&self, workload: &str) {
        let done = self.kubectl(&format!("rollout status {workload} --timeout=120s"));
        done.unwrap_or_else(|error| panic!("{error:#}\n{}", self.kubectl("get pods -o wide").unwrap_or_default()));
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.kubectl("get all -o wide").unwrap_or_default());
            // What a test killed: the next one needs it.
            let _ = self.cluster.control.ensure();
            for node in self.cluster.nodes() {
                eprintln!("{}", node.ferrule("status").unwrap_or_default());
            }
        }
        // Not waited for: nobody else is in it.
        let _ = self.cluster.kubectl(&["delete", "namespace", &self.name, "--wait=false", "--grace-period=0"]);
    }
}

/// Lays one object over another.
fn merge(object: &mut Value, more: Value) {
    match (object, more) {
        (Value::Object(members), Value::Object(others)) => {
            for (name, value) in others {
                merge(members.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            items.iter_mut().zip(others).for_each(|(item, other)| merge(item, other));
        }
        (object, other) => *object = other,
    }
}

/// A little while.
pub fn moment() {
    std::thread::sleep(Duration::from_millis(200));
}

/// The words of an error.
#[track_caller]
pub fn refused(result: Result<()>, what: &str) {
    assert!(result.is_err(), "{what} must not connect");
}

/// JSON that `ferrule` prints on a node.
pub fn ferrule(node: &Node, line: &str) -> Value {
    let text = node.ferrule(&format!("-o json {line}")).unwrap_or_else(|error| panic!("{}: {error:#}", node.name()));
    serde_json::from_str(&text).context("JSON").unwrap_or_else(|error| panic!("{line}: {error:#}: {text}"))
}
