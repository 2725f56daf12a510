//! Objects that the cluster's controllers or this bench bring to life.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use test_kit::cluster::{Cluster, images::AGNHOST, process::wait};

/// Nothing may take longer.
pub const LIMIT: Duration = Duration::from_secs(180);

/// A namespace, which goes with all that is in it when this is dropped.
pub struct Space<'a> {
    /// Its cluster.
    pub cluster: &'a Cluster,
    /// Its name.
    pub name: &'static str,
}

impl<'a> Space<'a> {
    /// Makes it.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub fn new(cluster: &'a Cluster, name: &'static str) -> Result<Self> {
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}).to_string())?;
        let space = Self { cluster, name };
        // Pods are refused before it is there.
        wait("the service account", LIMIT, || space.kubectl("get serviceaccount default"))?;
        Ok(space)
    }

    /// `kubectl` within it.
    ///
    /// # Errors
    /// Where it fails.
    pub fn kubectl(&self, line: &str) -> Result<String> {
        let words: Vec<&str> = ["-n", self.name].into_iter().chain(line.split_whitespace()).collect();
        self.cluster.kubectl(&words)
    }

    /// Applies objects.
    ///
    /// # Errors
    /// Where the API server refuses one.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        self.cluster.apply(&list.to_string()).map(drop)
    }

    /// A pod of a node that does nothing.
    pub fn pod(&self, name: &str, node: &str) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": self.name, "labels": {"app": "bench"}},
            "spec": idle(Some(node)),
        })
    }

    /// Waits until no pod is left.
    ///
    /// # Errors
    /// Where some are after [`LIMIT`].
    pub fn cleared(&self) -> Result<()> {
        wait("pods are gone", LIMIT, || {
            let left = self.kubectl("get pods --no-headers")?;
            if left.is_empty() { Ok(()) } else { bail!("{left}") }
        })
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.cluster.kubectl(&["delete", "namespace", self.name, "--grace-period=0"]) {
            eprintln!("the namespace {} is left: {error:#}", self.name);
        }
    }
}

/// What a pod runs that does nothing.
pub fn idle(node: Option<&str>) -> Value {
    json!({
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": false,
        "containers": [{"name": "main", "image": AGNHOST, "args": ["pause"]}],
    })
}
