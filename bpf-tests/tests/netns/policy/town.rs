//! A cluster whose pods have objects: labels, phases, namespaces, which may change, and the moment when all nodes know it.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use test_kit::topology::{Cluster, Layout, Node, Pod, patience, until};

use super::objects::{PodObject, namespaces, parts, policy};

/// A cluster and the objects of its pods.
pub struct Town<'a> {
    pub cluster: &'a Cluster,
    objects: Mutex<BTreeMap<String, PodObject>>,
    marks: AtomicU32,
}

/// Runs a test in one; a failure shows the cluster's whole state.
pub fn within(layout: &Layout, test: impl FnOnce(&Town<'_>) -> Result<()>) {
    crate::support::within(layout, |cluster| {
        test(&Town { cluster, objects: Mutex::default(), marks: AtomicU32::new(0) })
    });
}

impl Town<'_> {
    /// The node of this number, from 1.
    pub fn node(&self, number: usize) -> &Node {
        &self.cluster.nodes[number - 1]
    }

    /// Creates a pod's object, as the API server has it before the pod is anywhere connected.
    pub fn announce(&self, name: &str, node: usize, labels: &str) -> Result<()> {
        let (namespace, pod) = parts(name);
        let object = PodObject {
            namespace: namespace.into(),
            name: pod.into(),
            node: self.node(node).name.clone(),
            labels: labels.into(),
            ports: String::new(),
            phase: "Pending",
            terminating: false,
            addresses: Vec::new(),
        };
        self.objects().insert(name.into(), object);
        self.publish(name)
    }

    /// Connects a pod that was announced, and tells of its addresses.
    pub fn connect(&self, name: &str) -> Result<Pod> {
        let (namespace, pod) = parts(name);
        let node = self.cluster.nodes.iter().find(|node| Some(&node.name) == self.node_of(name).as_ref());
        let node = node.with_context(|| format!("{name} was not announced"))?;
        let netns = node.pod_netns(&format!("{namespace}-{pod}"))?;
        let pod = node.add_object(namespace, pod, netns)?;
        self.change(name, |object| {
            object.addresses.clone_from(&pod.addresses);
            object.phase = "Running";
        })?;
        Ok(pod)
    }

    /// A running pod.
    pub fn pod(&self, name: &str, node: usize, labels: &str) -> Result<Pod> {
        self.announce(name, node, labels)?;
        self.connect(name)
    }

    /// Changes a pod's object.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut PodObject)) -> Result<()> {
        change(self.objects().get_mut(name).with_context(|| format!("{name} was not announced"))?);
        self.publish(name)
    }

    /// Gives a pod other labels.
    pub fn label(&self, name: &str, labels: &str) -> Result<()> {
        self.change(name, |object| object.labels = labels.into())
    }

    /// Gives namespaces these labels.
    pub fn namespaces(&self, all: &[(&str, &str)]) -> Result<()> {
        self.cluster.manifests.write("namespaces", &namespaces(all))
    }

    /// These policies, and no other.
    pub fn policies(&self, all: &[(&str, &str)]) -> Result<()> {
        let text: String = all.iter().map(|(name, spec)| policy(name, spec)).collect();
        self.cluster.manifests.write("policies", &text)
    }

    /// Waits until every node's agent has put in force what was written.
    pub fn settle(&self) -> Result<()> {
        let mark = format!("marks/m{}", self.marks.fetch_add(1, Ordering::Relaxed));
        self.cluster.manifests.write("marks", &policy(&mark, "podSelector: {matchLabels: {nobody: has}}"))?;
        for node in &self.cluster.nodes {
            let known = || {
                let all = node.ferrule("policy list").unwrap_or_default();
                all.as_array().into_iter().flatten().any(|one| one["name"] == mark.as_str())
            };
            until(&format!("{} to read {mark}", node.name), known, |known| *known)?;
        }
        // From the agent's store to its maps.
        thread::sleep(patience(Duration::from_millis(250)));
        Ok(())
    }

    fn publish(&self, name: &str) -> Result<()> {
        let text = self.objects().get(name).with_context(|| format!("{name} was not announced"))?.yaml();
        self.cluster.manifests.write(&format!("pod-{}", name.replace('/', "-")), &text)
    }

    fn node_of(&self, name: &str) -> Option<String> {
        self.objects().get(name).map(|object| object.node.clone())
    }

    fn objects(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, PodObject>> {
        self.objects.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
