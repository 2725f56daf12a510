//! What became of a single packet, as operators see it.

use serde::{Deserialize, Serialize};

/// An event as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// `allowed` or `dropped`.
    pub verdict: String,
    /// Why it was dropped; empty where it was not.
    pub reason: String,
    /// The reason as a sentence.
    pub description: String,
    /// Which program decided.
    pub program: String,
    /// `ingress` or `egress`, seen from the endpoint; empty where none is concerned.
    pub direction: String,
    /// The endpoint's index; 0 for none.
    pub endpoint: u32,
    /// The endpoint's pod.
    pub pod: Option<String>,
    /// The policies that isolate the pod in this direction.
    pub policies: Vec<String>,
    /// The rule that allowed it.
    pub rule: Option<String>,
    /// The packet's source.
    pub source: EventEnd,
    /// The packet's destination.
    pub destination: EventEnd,
    /// `tcp`, `udp`, …; empty where the packet could not be read.
    pub protocol: String,
    /// Bytes, with the Ethernet header.
    pub bytes: u32,
    /// Events that were left out before this one, on its CPU.
    pub left_out: u32,
}

/// One end of a packet's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventEnd {
    /// Its address.
    pub address: String,
    /// Its port; 0 where there is none.
    pub port: u16,
    /// Its pod, where one is known.
    pub pod: Option<String>,
}
