//! Addresses that no node and no pod can have, whatever an object says (RFC 6890: the registries of special-purpose addresses).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use crate::cidr;

/// What an address is for, where it is for no node and no pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Special {
    /// `0.0.0.0/8` and `::`.
    Unspecified,
    /// `127.0.0.0/8` and `::1`.
    Loopback,
    /// `169.254.0.0/16`, where clouds have their metadata service, and `fe80::/10`.
    LinkLocal,
    /// `224.0.0.0/4` and `ff00::/8`.
    Multicast,
    /// `255.255.255.255`.
    Broadcast,
    /// `::ffff:0:0/96`: IPv4 addresses as sockets write them; no packet has one.
    Mapped,
}

impl std::fmt::Display for Special {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Mapped => "an IPv4 address within IPv6",
        })
    }
}

/// Each range with its prefix length in bits.
const V4: [(Special, Ipv4Addr, u8); 5] = [
    (Special::Unspecified, Ipv4Addr::UNSPECIFIED, 8),
    (Special::Loopback, Ipv4Addr::new(127, 0, 0, 0), 8),
    (Special::LinkLocal, Ipv4Addr::new(169, 254, 0, 0), 16),
    (Special::Multicast, Ipv4Addr::new(224, 0, 0, 0), 4),
    (Special::Broadcast, Ipv4Addr::BROADCAST, 32),
];
const V6: [(Special, Ipv6Addr, u8); 5] = [
    (Special::Unspecified, Ipv6Addr::UNSPECIFIED, 128),
    (Special::Loopback, Ipv6Addr::LOCALHOST, 128),
    (Special::LinkLocal, Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    (Special::Multicast, Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8),
    (Special::Mapped, Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
];

/// What some address of a prefix is for, where no node and no pod can have it.
#[must_use]
pub fn special(net: IpNetwork) -> Option<Special> {
    let v4 = V4.iter().map(|(special, first, bits)| (*special, IpAddr::V4(*first), *bits));
    let v6 = V6.iter().map(|(special, first, bits)| (*special, IpAddr::V6(*first), *bits));
    let range = |first, bits| IpNetwork::new(first, bits).is_ok_and(|range| cidr::overlap(range, net));
    v4.chain(v6).find_map(|(special, first, bits)| range(first, bits).then_some(special))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(net: &str, expected: Option<Special>) {
        assert_eq!(special(net.parse().unwrap()), expected, "{net}");
    }

    #[test]
    fn each_range_is_known_by_its_ends_and_by_what_holds_it() {
        for (net, expected) in [
            ("0.0.0.0", Special::Unspecified),
            ("0.255.255.255", Special::Unspecified),
            ("127.0.0.1", Special::Loopback),
            ("169.254.169.254", Special::LinkLocal),
            ("224.0.0.1", Special::Multicast),
            ("239.255.255.255", Special::Multicast),
            ("255.255.255.255", Special::Broadcast),
            ("::", Special::Unspecified),
            ("::1", Special::Loopback),
            ("fe80::1", Special::LinkLocal),
            ("febf::1", Special::LinkLocal),
            ("ff02::1", Special::Multicast),
            ("::ffff:10.0.0.1", Special::Mapped),
            ("169.254.0.0/24", Special::LinkLocal),
            ("168.0.0.0/7", Special::LinkLocal),
            ("::ffff:0:0/90", Special::Mapped),
            ("0.0.0.0/0", Special::Unspecified),
            ("::/0", Special::Unspecified),
        ] {
            check(net, Some(expected));
        }
        for net in ["1.0.0.0/8", "10.0.0.0/8", "126.0.0.0/8", "128.0.0.0/8", "223.255.255.255", "240.0.0.0/5"] {
            check(net, None);
        }
        for net in ["::2", "fd00::/8", "2000::/3", "fec0::1", "::fffe:0:0"] {
            check(net, None);
        }
    }
}
