//! A flow of the connection table, as operators see it.

use serde::{Deserialize, Serialize};

/// A flow as operators see it: from the end that opened it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// `tcp`, `udp`, `sctp`, `icmp`, `icmpv6`, or the protocol's number.
    pub protocol: String,
    /// Who opened it.
    pub source: String,
    /// The port it was opened from; an echo's identifier; 0 where there is none.
    pub source_port: u16,
    /// Towards whom.
    pub destination: String,
    /// The port it was opened to.
    pub destination_port: u16,
    /// `open`, `answered`, `closing`, or why it is denied.
    pub state: String,
    /// How long it was silent, in seconds.
    pub idle: u32,
    /// The endpoint in whose share of the table it counts.
    pub endpoint: u32,
    /// What answers it goes through the host's stack.
    pub via_stack: bool,
}
