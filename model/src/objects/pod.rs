//! Pods.

use std::net::IpAddr;
use std::sync::Arc;

use super::ObjectName;
use crate::selector::Labels;

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace` and `metadata.name`.
    pub name: ObjectName,
    /// `metadata.uid`; empty where there is none (a manifest in a file).
    pub uid: String,
    /// `metadata.labels`.
    pub labels: Labels,
    /// `metadata.creationTimestamp` in seconds since 1970; 0 where there is none.
    pub created: u64,
    /// `metadata.deletionTimestamp` is there.
    pub terminating: bool,
    /// `spec.nodeName`; none while the pod is not scheduled.
    pub node: Option<Arc<str>>,
    /// `spec.hostNetwork`: the pod has its node's addresses and none of its own.
    pub host_network: bool,
    /// `status.phase`.
    pub phase: Phase,
    /// `status.podIPs`, else `status.podIP`.
    pub ips: Vec<IpAddr>,
    /// `spec.containers[*].ports`, and those of init containers that go on running.
    pub ports: Vec<ContainerPort>,
}

impl Pod {
    /// Whether it may send and receive from addresses of its own: neither host-networked nor ended.
    #[must_use]
    pub fn is_networked(&self) -> bool {
        !self.host_network && !self.phase.is_terminal()
    }
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Phase {
    /// Not all containers have started; also where a manifest gives no status.
    #[default]
    Pending,
    /// At least one container runs.
    Running,
    /// All containers ended well and will not be restarted.
    Succeeded,
    /// All containers ended, at least one badly.
    Failed,
    /// The node does not answer.
    Unknown,
}

impl Phase {
    /// The pod has ended: its addresses are free for others.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// A port that a container declares; named ports of policies and services refer to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerPort {
    /// `name`; empty where there is none.
    pub name: Arc<str>,
    /// `containerPort`.
    pub port: u16,
    /// `protocol`.
    pub protocol: Protocol,
}

/// A transport protocol that policies and services can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}
