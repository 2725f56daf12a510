//! Clusters for a test, and the question whether everyone reaches everyone.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};
use test_kit::{
    topology::{Cluster, Layout, Netns, Pod},
    traffic::{Echo, Protocol, probe},
};

/// Runs a test in a cluster; a failure shows the cluster's whole state.
pub fn within(layout: &Layout, test: impl FnOnce(&Cluster) -> Result<()>) {
    let cluster = Cluster::start(layout).expect("the cluster starts");
    if let Err(error) = test(&cluster) {
        panic!("{error:#}\n\n{}", cluster.describe());
    }
}

/// Somebody who asks and answers.
pub struct End<'a> {
    netns: &'a Netns,
    addresses: &'a [IpAddr],
}

impl<'a> From<&'a Pod> for End<'a> {
    fn from(pod: &'a Pod) -> Self {
        Self { netns: &pod.netns, addresses: &pod.addresses }
    }
}

impl<'a> From<&'a test_kit::topology::Node> for End<'a> {
    fn from(node: &'a test_kit::topology::Node) -> Self {
        Self { netns: &node.netns, addresses: &node.addresses }
    }
}

/// Pods and all nodes.
pub fn ends<'a>(cluster: &'a Cluster, pods: &[&'a Pod]) -> Vec<End<'a>> {
    pods.iter().map(|pod| End::from(*pod)).chain(cluster.nodes.iter().map(End::from)).collect()
}

/// That all reach all by each family that the one who answers has, and by each protocol. A pod asks only by families
/// that it has; a node asks by both, since it has an address for each family of pods.
pub fn all_reach_all(ends: &[End<'_>]) -> Result<()> {
    let _servers = ends.iter().map(|end| Echo::start(end.netns, end.addresses)).collect::<Result<Vec<_>>>()?;
    let mut failures = Vec::new();
    for (from, to) in ends.iter().flat_map(|from| ends.iter().map(move |to| (from, to))) {
        if from.netns.name() == to.netns.name() {
            continue;
        }
        let asked = to.addresses.iter().filter(|to| from.addresses.iter().any(|from| from.is_ipv4() == to.is_ipv4()));
        for address in asked {
            for protocol in Protocol::ALL {
                failures.extend(probe(from.netns, *address, protocol).err().map(|error| format!("{error:#}")));
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { bail!("not reached:\n{}", failures.join("\n")) }
}

/// The address of a pod of a family.
pub fn address(pod: &Pod, v4: bool) -> Result<IpAddr> {
    pod.address(v4).with_context(|| format!("{} has no such address: {:?}", pod.name, pod.addresses))
}

/// That `words` all occur in an error.
pub fn says<T: std::fmt::Debug>(result: Result<T>, words: &[&str]) -> Result<()> {
    let Err(error) = result else { bail!("expected an error with {words:?}, found {result:?}") };
    let text = format!("{error:#}");
    match words.iter().find(|word| !text.contains(**word)) {
        Some(word) => bail!("{text:?} lacks {word:?}"),
        None => Ok(()),
    }
}
