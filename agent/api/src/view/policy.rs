//! Verdicts of policies, as operators see them.

use serde::{Deserialize, Serialize};

use super::Flow;

/// What is asked.
#[derive(Debug, Clone, Deserialize)]
pub struct PolicyQuery {
    /// `namespace/name` of a pod, an address, or `node` for this one.
    pub source: String,
    /// As `source`.
    pub destination: String,
    /// `tcp`, `udp`, `sctp`, `icmp`, or a number; by default `tcp` with a port, else `icmp`.
    pub protocol: Option<String>,
    /// The destination port.
    pub port: Option<u16>,
    /// 6 for the IPv6 addresses of pods.
    pub family: Option<u8>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The source's address.
    pub source: String,
    /// The destination's address.
    pub destination: String,
    /// `tcp 80`, `icmp`, …
    pub traffic: String,
    /// Whether a new flow may pass at this node's ends, as policies are documented.
    pub allowed: bool,
    /// Whether the live maps say the same.
    pub agrees: bool,
    /// Each end that is a pod of this node.
    pub ends: Vec<ExplainedEnd>,
}

/// What one end says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedEnd {
    /// `ingress` or `egress`.
    pub direction: String,
    /// The endpoint's index.
    pub endpoint: u32,
    /// Its pod.
    pub pod: Option<String>,
    /// The policies that isolate it in this direction.
    pub isolated_by: Vec<String>,
    /// The rules that allow it.
    pub allowed_by: Vec<String>,
    /// Why it passes whatever policies say.
    pub exempt: Option<String>,
    /// Whether it may pass here.
    pub allowed: bool,
    /// Whether the live maps let it pass.
    pub live_allowed: bool,
    /// The rule by which they do.
    pub live_rule: Option<String>,
}

/// What would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// Objects that were read.
    pub objects: Vec<String>,
    /// What is wrong with the manifests.
    pub problems: Vec<String>,
    /// Pods of this node whose isolation would change.
    pub pods: Vec<PodChange>,
    /// Flows of this node that would be cut, or allowed.
    pub flows: Vec<FlowChange>,
    /// Flows that were looked at.
    pub flows_seen: usize,
}

/// From one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed<T> {
    /// As it is.
    pub before: T,
    /// As it would be.
    pub after: T,
}

/// A pod's isolation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodChange {
    /// The pod.
    pub pod: String,
    /// `ingress` or `egress`.
    pub direction: String,
    /// The policies that isolate it.
    pub isolated_by: Changed<Vec<String>>,
}

/// A flow's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowChange {
    /// The flow.
    pub flow: Flow,
    /// Whether its opener may send.
    pub allowed: Changed<bool>,
    /// The rules that would allow it.
    pub by: Vec<String>,
}
