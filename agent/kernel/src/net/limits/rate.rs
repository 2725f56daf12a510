//! What the runtime asks for, as the kernel takes it.

use std::fmt;

/// A burst that no caller means: containerd's "no bound".
const UNBOUND: u64 = u32::MAX as u64;
/// What a burst holds at least where none is asked for: a packet as large as they get before they are cut up.
const PACKET: u64 = 64 * 1024;
/// The longest that a packet waits, in milliseconds: the CNI project's plugin has the same.
const LATENCY_MS: u64 = 25;
/// A frame's header with a tag, which is not part of the MTU.
const HEADER: u64 = 18;

/// The limits of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of what it receives (`ingressRate`).
    pub to_pod: Option<Rate>,
    /// Of what it sends (`egressRate`).
    pub from_pod: Option<Rate>,
}

/// What is asked for in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked {
    /// Bits a second; 0 for no limit.
    pub rate_bits: u64,
    /// Bits; 0 and 4294967295 for no bound.
    pub burst_bits: u64,
}

/// One direction's limit. Shown in bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second.
    pub bytes: u64,
    /// Bytes that may go at once after a rest.
    pub burst: u32,
    /// Bytes that wait at most.
    pub limit: u32,
}

impl Limits {
    /// The limits of a pod with this MTU. A burst that is unset or boundless is ten milliseconds' worth: else the first
    /// half gigabyte would be as fast as it can.
    #[must_use]
    pub fn of(to_pod: Asked, from_pod: Asked, mtu: u32) -> Self {
        Self { to_pod: Rate::of(to_pod, mtu), from_pod: Rate::of(from_pod, mtu) }
    }
}

impl Rate {
    fn of(asked: Asked, mtu: u32) -> Option<Self> {
        let Asked { rate_bits, burst_bits } = asked;
        if rate_bits == 0 {
            return None;
        }
        let bytes = (rate_bits / 8).max(1);
        let frame = u64::from(mtu) + HEADER;
        let burst = match burst_bits {
            0 | UNBOUND.. => (bytes / 100).max(PACKET),
            bits => bits / 8,
        };
        let burst = u32::try_from(burst.max(frame)).unwrap_or(u32::MAX);
        let waiting = (bytes.saturating_mul(LATENCY_MS) / 1000).max(2 * frame);
        let limit = u32::try_from(waiting.saturating_add(u64::from(burst))).unwrap_or(u32::MAX);
        Some(Self { bytes, burst, limit })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bit/s", self.bytes.saturating_mul(8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rate_bits: u64, burst_bits: u64, expected: Option<(u64, u32, u32)>) {
        let rate = Rate::of(Asked { rate_bits, burst_bits }, 1500);
        let found = rate.map(|rate| (rate.bytes, rate.burst, rate.limit));
        assert_eq!(found, expected, "{rate_bits} bit/s, {burst_bits} bit");
    }

    #[test]
    fn a_rate_of_zero_limits_nothing() {
        check(0, 800_000, None);
    }

    #[test]
    fn bits_become_bytes_and_packets_wait_25_ms() {
        check(40_000_000, 800_000, Some((5_000_000, 100_000, 225_000)));
    }

    #[test]
    fn a_burst_that_is_unset_or_boundless_is_ten_milliseconds_worth_and_holds_a_large_packet() {
        for burst in [0, 4_294_967_295, u64::MAX] {
            check(1_000_000_000, burst, Some((125_000_000, 1_250_000, 4_375_000)));
            check(8_000_000, burst, Some((1_000_000, 65_536, 90_536)));
        }
    }

    #[test]
    fn a_frame_fits_whatever_was_asked_for() {
        check(8, 8, Some((1, 1518, 4554)));
        check(1, 1, Some((1, 1518, 4554)));
    }

    #[test]
    fn what_no_field_holds_is_as_large_as_the_field() {
        check(u64::MAX, 0, Some((u64::MAX / 8, u32::MAX, u32::MAX)));
    }
}
