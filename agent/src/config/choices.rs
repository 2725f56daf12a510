//! Settings that are one of a few words.

use clap::ValueEnum;
use ferrule_model::desired::Routing as ModelRouting;
use serde::Deserialize;

/// How pods' packets travel between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// Encapsulated; the underlay sees nodes' addresses only.
    Vxlan,
    /// As they are; the underlay carries pods' addresses.
    Native,
    /// As they are to nodes on the same link, encapsulated to others; both are accepted.
    Auto,
}

impl From<Routing> for ModelRouting {
    fn from(routing: Routing) -> Self {
        match routing {
            Routing::Vxlan => Self::Vxlan,
            Routing::Native => Self::Native,
            Routing::Auto => Self::Auto,
        }
    }
}

/// Who puts pods' packets to other nodes into the tunnel, and takes them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encapsulation {
    /// Programs, where the kernel and the ways to other nodes allow it; else the overlay device.
    Auto,
    /// The overlay device.
    Device,
    /// As with auto; the agent does not start where the kernel does not allow it.
    Program,
}

/// How programs are put on the devices that stay. Pods' veths always take clsact filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attach {
    /// Pinned TCX links (Linux 6.6).
    Tcx,
    /// Filters of a clsact qdisc.
    Clsact,
}

/// What a pod may send to its own node where egress policies select it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OwnNodeEgress {
    /// Everything.
    Allow,
    /// What a policy allows.
    Policed,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// Sockets reach Services.
    #[default]
    On,
    /// Services are left to others.
    Off,
}

/// Whether kube-proxy runs on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KubeProxy {
    /// Look for its rules.
    #[default]
    Auto,
    /// Take it that it runs.
    Present,
    /// Take it that it does not run.
    Absent,
}

/// A kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The API server.
    Kubernetes,
    /// A folder of manifests.
    Files,
}
