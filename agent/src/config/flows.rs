//! Settings of the connection table: its size, an endpoint's share of it, and how long a silent flow is remembered.

use ferrule_common::layout;

/// How the connection table is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flows {
    /// Flows that the table has room for.
    pub entries: u32,
    /// How much of it one endpoint may fill, in percent.
    pub share_percent: u32,
    /// How long a flow may be silent.
    pub timeouts: Timeouts,
}

/// How long a flow may be silent, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP connection.
    pub tcp: u32,
    /// A TCP connection that nobody has answered.
    pub tcp_opening: u32,
    /// A TCP connection that has ended.
    pub tcp_closing: u32,
    /// A short exchange by UDP or SCTP.
    pub udp: u32,
    /// A lasting one.
    pub udp_stream: u32,
    /// Everything else.
    pub other: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { tcp: 8000, tcp_opening: 60, tcp_closing: 10, udp: 30, udp_stream: 120, other: 30 }
    }
}

impl Default for Flows {
    fn default() -> Self {
        Self { entries: layout::CONNTRACK, share_percent: 25, timeouts: Timeouts::default() }
    }
}

impl Flows {
    /// How many flows one endpoint may have.
    #[must_use]
    pub fn share(&self) -> u32 {
        let share = u64::from(self.entries) * u64::from(self.share_percent) / 100;
        u32::try_from(share).unwrap_or(u32::MAX).max(1)
    }
}
