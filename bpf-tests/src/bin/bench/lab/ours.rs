//! Two nodes of ours, with the real agent and plugin.

use anyhow::{Context, Result};
use bpf_tests::topology::{Cluster, Fabric, Families, Layout, Node, Pod, Routing, until};

use super::{Path, plugin::address};

/// A cluster with two pods on its first node and one on the second.
#[derive(Debug)]
pub struct Ours {
    pods: [Pod; 3],
    cluster: Cluster,
}

impl Ours {
    /// Makes it, and waits until every agent knows every pod.
    ///
    /// # Errors
    /// Where a part of it cannot be made.
    pub fn new(routing: Routing) -> Result<Self> {
        let (pods, underlay) = (Families::V4, Families::V4);
        let cluster = Cluster::start(&Layout { pods, underlay, fabric: Fabric::Wire, routing, ..Layout::default() })?;
        let [first, second] = [&cluster.nodes[0], &cluster.nodes[1]];
        let pods = [first.add("a")?, first.add("b")?, second.add("c")?];
        for (pod, node) in pods.iter().zip([first, first, second]) {
            cluster.publish(pod, node)?;
        }
        knows(first, 1)?;
        knows(second, 2)?;
        Ok(Self { pods, cluster })
    }

    /// The node with two pods.
    pub fn node(&self) -> &Node {
        &self.cluster.nodes[0]
    }

    /// From pod to pod on one node.
    ///
    /// # Errors
    /// Where a pod has no address.
    pub fn same_node(&self, subject: &'static str) -> Result<Path<'_>> {
        Ok(Path::new(subject, &self.pods[0].netns, &self.pods[1].netns, address(&self.pods[1])?))
    }

    /// From pod to pod on the other node.
    ///
    /// # Errors
    /// Where a pod has no address.
    pub fn cross_node(&self, subject: &'static str) -> Result<Path<'_>> {
        Ok(Path::new(subject, &self.pods[0].netns, &self.pods[2].netns, address(&self.pods[2])?))
    }

    /// From a node to its own pod.
    ///
    /// # Errors
    /// Where a pod has no address.
    pub fn node_to_pod(&self, subject: &'static str) -> Result<Path<'_>> {
        Ok(Path::new(subject, &self.node().netns, &self.pods[0].netns, address(&self.pods[0])?))
    }
}

/// Waits until a node's agent knows this many pods of others.
///
/// # Errors
/// Where it does not within ten seconds.
fn knows(node: &Node, pods: u64) -> Result<()> {
    let known = || node.ferrule("status").map_or(None, |status| status["remotePods"].as_u64());
    until("remote pods", known, |known| *known == Some(pods)).map(drop).with_context(|| node.name.clone())
}
