//! A counter of the programs.

use serde::{Deserialize, Serialize};

/// One counter that is not zero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Which program counted.
    pub program: String,
    /// Whether the packets were dropped.
    pub dropped: bool,
    /// The outcome's or the drop reason's name.
    pub outcome: String,
    /// One sentence.
    pub description: String,
    /// Packets, a GSO packet counted once.
    pub packets: u64,
    /// Bytes, with Ethernet headers.
    pub bytes: u64,
}
