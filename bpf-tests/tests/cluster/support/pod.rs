//! A running pod: where it is, and its network namespace.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;
use test_kit::{cluster::Node, topology::Netns};

/// A running pod.
pub struct Pod {
    /// Its name.
    pub name: String,
    /// IPv4 first.
    pub ips: Vec<IpAddr>,
    /// Its network namespace, for traffic that a test itself sends.
    pub netns: Netns,
}

impl Pod {
    /// From its object, which has addresses.
    pub fn read(object: &Value, nodes: &[Node]) -> Result<Self> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&object["metadata"]["name"]).context("a pod has a name")?;
        let node = text(&object["spec"]["nodeName"]).context("it has a node")?;
        let node = nodes.iter().find(|one| one.name() == node).context("its node runs")?;
        let ips = object["status"]["podIPs"].as_array().context("it has addresses")?;
        let ips = ips.iter().map(|ip| Ok(ip["ip"].as_str().context("an address")?.parse()?)).collect::<Result<_>>()?;
        let namespace = text(&object["metadata"]["namespace"]).context("it has a namespace")?;
        let netns = netns(node, &format!("{namespace}/{name}"))?;
        Ok(Self { name, ips, netns })
    }

    /// Its first address of a family.
    pub fn ip(&self, v6: bool) -> IpAddr {
        self.ips.iter().copied().find(|ip| ip.is_ipv6() == v6).expect("pods are dual stack")
    }
}

/// As the node's file system has it, seen from here.
fn netns(node: &Node, pod: &str) -> Result<Netns> {
    let listing: Value = serde_json::from_str(&node.ferrule("-o json endpoint list")?)?;
    let entries = listing.as_array().context("a list")?;
    let entry = entries.iter().find(|entry| entry["pod"] == pod).with_context(|| format!("{pod} has an endpoint"))?;
    let path = entry["netns"].as_str().context("it has a network namespace")?;
    // `/var/run` is a link, which would lead out of the node's files.
    let path = path.replacen("/var/run/", "/run/", 1);
    Ok(Netns::at(pod, node.machine.root()?.join(path.trim_start_matches('/'))))
}
