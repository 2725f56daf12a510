//! Settings of the connection table: its size, an endpoint's share of it, and how long a silent flow is remembered.

use ferrule_common::layout;
use ferrule_kernel::bpf::Timeouts;

use super::{ConfigError, Options};

/// The smallest connection table that is of use.
const LEAST_FLOWS: u32 = 1024;
/// The largest: 2.5 GB.
const MOST_FLOWS: u32 = 1 << 24;
/// Jiffies are counted in 32 bits, at up to a thousand a second, and a timeout may be doubled.
const MOST_SECONDS: u32 = 1_000_000;

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

/// As nf_conntrack has them, with longer TCP connections.
const TIMEOUTS: Timeouts =
    Timeouts { tcp: 8000, tcp_opening: 10, tcp_closing: 10, udp: 30, udp_stream: 120, other: 30 };

impl Default for Flows {
    fn default() -> Self {
        Self { entries: layout::CONNTRACK, share_percent: 25, timeouts: TIMEOUTS }
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

impl Options {
    pub(super) fn flows(&self) -> Result<Flows, ConfigError> {
        let Flows { entries, share_percent, timeouts: usual } = Flows::default();
        let seconds = |key, given: Option<u32>, usual| match given.unwrap_or(usual) {
            seconds @ 1..=MOST_SECONDS => Ok(seconds),
            other => Err(ConfigError::Value { key, problem: format!("{other} is not between 1 and {MOST_SECONDS}") }),
        };
        let flows = Flows {
            entries: self.conntrack_entries.unwrap_or(entries),
            share_percent: self.conntrack_share.unwrap_or(share_percent),
            timeouts: Timeouts {
                tcp: seconds("conntrack-tcp", self.conntrack_tcp, usual.tcp)?,
                tcp_opening: seconds("conntrack-tcp-opening", self.conntrack_tcp_opening, usual.tcp_opening)?,
                tcp_closing: seconds("conntrack-tcp-closing", self.conntrack_tcp_closing, usual.tcp_closing)?,
                udp: seconds("conntrack-udp", self.conntrack_udp, usual.udp)?,
                udp_stream: seconds("conntrack-udp-stream", self.conntrack_udp_stream, usual.udp_stream)?,
                other: seconds("conntrack-other", self.conntrack_other, usual.other)?,
            },
        };
        let bad = |key, problem| Err(ConfigError::Value { key, problem });
        if !(LEAST_FLOWS..=MOST_FLOWS).contains(&flows.entries) {
            let problem = format!("{} is not between {LEAST_FLOWS} and {MOST_FLOWS}", flows.entries);
            return bad("conntrack-entries", problem);
        }
        if !(1..=100).contains(&flows.share_percent) {
            return bad("conntrack-share", format!("{} is not between 1 and 100", flows.share_percent));
        }
        Ok(flows)
    }
}
