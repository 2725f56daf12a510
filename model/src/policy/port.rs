//! Ports as the datapath looks them up: prefixes of port numbers, by protocol.

use crate::objects::{Pod, Protocol};

/// Destination ports of a protocol that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPrefix {
    /// The protocol's number (IANA), or 0 for every protocol, ports or not.
    pub protocol: u8,
    /// The port; bits beyond the prefix are zero.
    pub port: u16,
    /// How many bits count, 0 to 16.
    pub bits: u8,
}

impl PortPrefix {
    /// Every protocol, echo included.
    pub const EVERYTHING: Self = Self { protocol: 0, port: 0, bits: 0 };

    /// Every port of a protocol.
    #[must_use]
    pub const fn all(protocol: u8) -> Self {
        Self { protocol, port: 0, bits: 0 }
    }

    /// One port.
    #[must_use]
    pub const fn one(protocol: u8, port: u16) -> Self {
        Self { protocol, port, bits: 16 }
    }

    /// The fewest prefixes that hold the ports from `first` to `last` and no other; none if `last` is below `first`.
    pub fn range(protocol: u8, first: u16, last: u16) -> impl Iterator<Item = Self> {
        let (mut next, end) = (u32::from(first), u32::from(last) + 1);
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            // The largest aligned power of two that starts here and ends in the range.
            let aligned = next.trailing_zeros().min(16);
            let size = aligned.min((end - next).ilog2());
            let port = u16::try_from(next).ok()?;
            next += 1 << size;
            Some(Self { protocol, port, bits: u8::try_from(16 - size).ok()? })
        })
    }
}

/// The protocol's number (<https://www.iana.org/assignments/protocol-numbers>).
#[must_use]
pub const fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// A container port's name, which each pod gives numbers of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PortName {
    pub(super) name: String,
    pub(super) protocol: Protocol,
}

impl PortName {
    /// The numbers that a pod's containers give it.
    pub(super) fn of<'a>(&'a self, pod: &'a Pod) -> impl Iterator<Item = u16> + 'a {
        let named = pod.ports.iter().filter(|port| *port.name == *self.name && port.protocol == self.protocol);
        named.map(|port| port.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: u16, last: u16, expected: &[(u16, u8)]) {
        let prefixes: Vec<_> = PortPrefix::range(6, first, last).map(|prefix| (prefix.port, prefix.bits)).collect();
        assert_eq!(prefixes, expected, "{first}-{last}");
    }

    #[test]
    fn a_range_is_the_fewest_prefixes() {
        check(80, 80, &[(80, 16)]);
        check(0, 65535, &[(0, 0)]);
        check(1, 65535, &(0..16).map(|bit| (1 << bit, 16 - bit)).collect::<Vec<_>>());
        check(80, 83, &[(80, 14)]);
        check(80, 90, &[(80, 13), (88, 15), (90, 16)]);
        check(65535, 65535, &[(65535, 16)]);
        check(0, 1023, &[(0, 6)]);
    }

    #[test]
    fn a_range_that_ends_before_it_starts_is_empty() {
        check(90, 80, &[]);
    }
}
