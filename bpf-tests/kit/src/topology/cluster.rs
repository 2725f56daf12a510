//! Clusters.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
};

use anyhow::Result;

use super::{
    Fabric, Families, Netns, Node, Pod, Prefix, Underlay,
    manifest::{self, Manifests},
};

/// How pods' packets travel between nodes, as the agent's `--routing` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Encapsulated.
    Vxlan,
    /// As they are.
    Native,
    /// As they are between nodes on one link.
    Auto,
}

impl Routing {
    const fn flag(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Native => "native",
            Self::Auto => "auto",
        }
    }
}

/// What a cluster is like.
#[derive(Debug, Clone)]
pub struct Layout {
    /// How many nodes.
    pub nodes: u8,
    /// Pods' address families.
    pub pods: Families,
    /// Nodes' address families.
    pub underlay: Families,
    /// How nodes are connected.
    pub fabric: Fabric,
    /// The underlay's MTU, where it is not 1500.
    pub mtu: Option<u32>,
    /// How pods' packets travel.
    pub routing: Routing,
    /// Further arguments of every agent.
    pub arguments: &'static [&'static str],
}

impl Default for Layout {
    /// Two nodes on a bridge, dual stack, VXLAN.
    fn default() -> Self {
        Self {
            nodes: 2,
            pods: Families::Dual,
            underlay: Families::Dual,
            fabric: Fabric::Bridge,
            mtu: None,
            routing: Routing::Vxlan,
            arguments: &[],
        }
    }
}

/// A running cluster; all of it goes when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// Nodes, the first is called `n1`.
    pub nodes: Vec<Node>,
    /// What lies between them.
    pub underlay: Underlay,
    /// The objects that agents read.
    pub manifests: Manifests,
    prefix: Prefix,
    keep: bool,
}

impl Cluster {
    /// Makes one with names of its own, and starts its agents.
    ///
    /// # Errors
    /// Where a part of it cannot be made, or an agent does not become ready.
    pub fn start(layout: &Layout) -> Result<Self> {
        let cluster = Self::prepare(Prefix::of_a_test(), layout)?;
        cluster.start_agents()?;
        Ok(cluster)
    }

    /// Makes one whose agents do not run yet.
    ///
    /// # Errors
    /// Where a part of it cannot be made.
    pub fn prepare(prefix: Prefix, layout: &Layout) -> Result<Self> {
        let underlay = Underlay::new(&prefix, layout.fabric, layout.underlay, layout.mtu)?;
        let manifests = Manifests::new(prefix.folder().join("manifests"))?;
        let mut cluster = Self { nodes: Vec::new(), underlay, manifests, prefix, keep: false };
        let mut objects = String::new();
        for number in 1..=layout.nodes {
            let node = cluster.node(number, layout)?;
            objects += &manifest::node(&node.name, &node.pod_cidrs, &node.addresses);
            cluster.nodes.push(node);
        }
        cluster.manifests.write("nodes", &objects)?;
        Ok(cluster)
    }

    /// Starts every agent.
    ///
    /// # Errors
    /// Where one does not become ready.
    pub fn start_agents(&self) -> Result<()> {
        // Side by side: each takes its time to load the programs.
        thread::scope(|scope| {
            let starts: Vec<_> = self.nodes.iter().map(|node| scope.spawn(|| node.start())).collect();
            starts
                .into_iter()
                .try_for_each(|start| start.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// Tells every agent of a pod, as the API server would.
    ///
    /// # Errors
    /// The file system's.
    pub fn publish(&self, pod: &Pod, node: &Node) -> Result<()> {
        self.manifests.write(&format!("pod-{}", pod.name), &manifest::pod(&pod.name, &node.name, &pod.addresses))
    }

    /// What a failed test wants to know.
    #[must_use]
    pub fn describe(&self) -> String {
        self.nodes.iter().fold(String::new(), |mut text, node| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{}", node.describe());
            text
        })
    }

    /// Leaves all of it when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
        self.underlay.netns.keep();
        self.nodes.iter_mut().for_each(Node::keep);
    }

    fn node(&self, number: u8, layout: &Layout) -> Result<Node> {
        let name = format!("n{number}");
        let netns = Netns::new(&format!("{}-{name}", self.prefix))?;
        self.underlay.connect(number, &netns)?;
        let cidrs = pod_cidrs(number, layout.pods);
        let routing = layout.routing.flag();
        let manifests = self.manifests.folder().display().to_string();
        let arguments =
            ["--manifests", &manifests, "--routing", routing, "--cluster-cidrs", &cluster_cidrs(layout.pods).join(",")];
        let arguments = arguments.iter().chain(layout.arguments).map(|word| (*word).to_owned()).collect();
        Node::new(&self.prefix, &name, netns, (self.underlay.node(number), cidrs), arguments)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.keep {
            self.nodes.clear();
            self.prefix.remove_all();
        }
    }
}

/// The CIDRs of all pods.
fn cluster_cidrs(families: Families) -> Vec<String> {
    of([("10.244.0.0/16".into(), true), ("fd00:244::/32".into(), false)], families)
}

/// The CIDRs of the pods of the node of this number.
fn pod_cidrs(node: u8, families: Families) -> Vec<String> {
    of([(format!("10.244.{node}.0/24"), true), (format!("fd00:244:{node}::/64"), false)], families)
}

fn of(cidrs: [(String, bool); 2], families: Families) -> Vec<String> {
    let any = |v4| if v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    cidrs.into_iter().filter(|(_, v4)| families.has(any(*v4))).map(|(cidr, _)| cidr).collect()
}
