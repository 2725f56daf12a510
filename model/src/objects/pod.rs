//! Pods.

use std::{net::IpAddr, sync::Arc};

use super::ObjectName;
use crate::selector::Labels;

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.namespace` and `metadata.name`.
    pub name: ObjectName,
    /// `metadata.uid`; empty where there is none (a manifest in a file).
    pub uid: String,
    /// The uid by which its kubelet and container runtime know a static pod, of which this is the mirror: the annotation
    /// `kubernetes.io/config.mirror` (<https://kubernetes.io/docs/reference/labels-annotations-taints/>).
    pub static_uid: Option<Box<str>>,
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
    /// `status.podIPs`, else `status.podIP`, else what the agent of its node announces.
    pub ips: Vec<IpAddr>,
    /// The addresses are announced by the agent of its node: its kubelet has not posted them yet.
    pub announced: bool,
    /// `spec.containers[*].ports`, and those of init containers that go on running.
    pub ports: Vec<ContainerPort>,
}

impl Pod {
    /// Whether it may send and receive from addresses of its own: neither host-networked nor ended.
    #[must_use]
    pub fn is_networked(&self) -> bool {
        !self.host_network && !self.phase.is_terminal()
    }

    /// Whether a container runtime's uid is this pod's; one that is empty, on either side, contradicts nothing.
    #[must_use]
    pub fn has_uid(&self, uid: &str) -> bool {
        uid.is_empty() || self.uid.is_empty() || self.uid == uid || self.static_uid.as_deref() == Some(uid)
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
