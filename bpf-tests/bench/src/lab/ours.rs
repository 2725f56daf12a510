//! Two nodes of ours, with the real agent and plugin.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use test_kit::{
    topology::{self, Cluster, Fabric, Families, Layout, Node, Pod, Routing, manifest::Manifests, until},
    traffic::load::PORT,
};

use super::{Path, plugin::address};

/// The address of the Service that leads somewhere.
pub const SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 10));

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
        Self::start(routing, &[])
    }

    /// The same with VXLAN, whose packets the overlay device encapsulates.
    ///
    /// # Errors
    /// As of [`Self::new`].
    pub fn by_device() -> Result<Self> {
        Self::start(Routing::Vxlan, &["--encapsulation", "device"])
    }

    fn start(routing: Routing, arguments: &'static [&'static str]) -> Result<Self> {
        let (pods, underlay) = (Families::V4, Families::V4);
        let fabric = Fabric::Wire;
        let cluster = Cluster::start(&Layout { pods, underlay, fabric, routing, arguments, ..Layout::default() })?;
        let [first, second] = [&cluster.nodes[0], &cluster.nodes[1]];
        let pods = [first.add("a")?, first.add("b")?, second.add("c")?];
        for (pod, node) in pods.iter().zip([first, first, second]) {
            cluster.publish(pod, node)?;
        }
        knows(first, 1)?;
        knows(second, 2)?;
        Ok(Self { pods, cluster })
    }

    /// The same, with a policy in each direction that allows the two pods of the first node each other's load, and others
    /// beside it: one in ten allows one of these pods an address, the rest select nobody.
    ///
    /// # Errors
    /// Where a part of it cannot be made.
    pub fn policed(others: usize) -> Result<Self> {
        let ours = Self::new(Routing::Vxlan)?;
        let manifests = &ours.cluster.manifests;
        let mut text = String::new();
        for pod in &ours.pods[..2] {
            let object = topology::manifest::pod(&pod.name, &ours.node().name, &pod.addresses);
            text += &object.replace("namespace: default}", "namespace: default, labels: {app: bench}}");
        }
        for pod in &ours.pods[..2] {
            manifests.remove(&format!("pod-{}", pod.name))?;
        }
        text += &format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: load, namespace: default}}\n\
             spec:\n  podSelector: &own {{matchLabels: {{app: bench}}}}\n  policyTypes: [Ingress, Egress]\n  ingress: \
             [{{from: [{{podSelector: *own}}], ports: &ports [{{port: {PORT}}}, {{port: {PORT}, protocol: UDP}}]}}]\n  \
             egress: [{{to: [{{podSelector: *own}}], ports: *ports}}]\n"
        );
        for other in 0..others {
            let selector = if other % 10 == 0 { "bench".to_owned() } else { format!("nobody-{other}") };
            let (high, low) = (other / 250, other % 250);
            text += &format!(
                "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: other-{other}, namespace: \
                 default}}\nspec:\n  podSelector: {{matchLabels: {{app: {selector}}}}}\n  ingress: [{{from: [{{ipBlock: \
                 {{cidr: 198.18.{high}.{low}/32}}}}], ports: [{{port: 443}}]}}]\n"
            );
        }
        manifests.write("policies", &text)?;
        let compiled = || ours.node().ferrule("status").map_or(None, |status| status["policyTables"].as_u64());
        until("tables", compiled, |tables| tables.is_some_and(|tables| tables >= 2))?;
        Ok(ours)
    }

    /// The same, with so many Services, the last of which leads to the first node's second pod.
    ///
    /// # Errors
    /// Where a part of it cannot be made.
    pub fn serving(count: u32) -> Result<Self> {
        let ours = Self::new(Routing::Vxlan)?;
        let ports = [("tcp", PORT, "TCP"), ("udp", PORT, "UDP")];
        let backend = address(&ours.pods[1])?;
        let mut text = String::new();
        for number in 0..count {
            let (name, last) = (format!("service-{number}"), number + 1 == count);
            let IpAddr::V4(first) = SERVICE else { anyhow::bail!("the first Service has an IPv4 address") };
            let ip = if last { first } else { Ipv4Addr::from(u32::from(first) + 1 + number) };
            // Nobody asks the others.
            let backend = if last { backend } else { Ipv4Addr::from(0xc612_0000 + number).into() };
            text += &topology::manifest::service(&name, &[ip.into()], &ports, "");
            text += &topology::manifest::slices(&name, &ports, &[(backend, "")]);
        }
        ours.cluster.manifests.write("services", &text)?;
        let served = || ours.node().ferrule("status").map_or(None, |status| status["services"].as_u64());
        until("Services", served, |served| *served == Some(count.into()))?;
        Ok(ours)
    }

    /// The objects that its agents read.
    pub fn manifests(&self) -> &Manifests {
        &self.cluster.manifests
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

    /// From pod to pod on one node, with sockets of the node's cgroup, by a Service's address where one is given.
    ///
    /// # Errors
    /// Where a pod has no address.
    pub fn by_service(&self, subject: &'static str, asked: Option<IpAddr>) -> Result<Path<'_>> {
        Ok(self.same_node(subject)?.within(self.node().cgroup(), asked))
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
