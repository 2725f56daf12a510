//! Arithmetic on prefixes that `ipnetwork` lacks: overlap across families, and addresses as numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, IPv4 first.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family of a prefix.
    #[must_use]
    pub const fn of_net(net: IpNetwork) -> Self {
        match net {
            IpNetwork::V4(_) => Self::V4,
            IpNetwork::V6(_) => Self::V6,
        }
    }

    /// The length of an address in bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The prefix without host bits: `10.1.2.3/16` becomes `10.1.0.0/16`.
#[must_use]
pub fn normalised(net: IpNetwork) -> IpNetwork {
    match net {
        IpNetwork::V4(net) => Ipv4Network::new(net.network(), net.prefix()).map_or(IpNetwork::V4(net), IpNetwork::V4),
        IpNetwork::V6(net) => Ipv6Network::new(net.network(), net.prefix()).map_or(IpNetwork::V6(net), IpNetwork::V6),
    }
}

/// Whether some address is in both. Prefixes of different families never overlap.
#[must_use]
pub fn overlap(a: IpNetwork, b: IpNetwork) -> bool {
    let shorter = if a.prefix() <= b.prefix() { (a, b) } else { (b, a) };
    shorter.0.contains(shorter.1.network())
}

/// The prefix that holds this address alone: a /32 or a /128.
#[must_use]
pub fn host(address: IpAddr) -> IpNetwork {
    IpNetwork::from(address)
}

/// The address as a number, most significant bit first.
#[must_use]
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of that number; of an IPv4 number only the low 32 bits count.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "masked to the 32 bits that an IPv4 address has")]
pub fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from((number & u128::from(u32::MAX)) as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

/// The first address after the network address, which the node itself may use as its gateway address. None where the
/// prefix holds a single address.
#[must_use]
pub fn gateway(net: IpNetwork) -> Option<IpAddr> {
    let family = Family::of_net(net);
    (net.prefix() < family.bits()).then(|| address(family, number(net.network()) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNetwork {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_overlap_when_one_holds_the_other() {
        let check = |a, b, expected| {
            assert_eq!(overlap(net(a), net(b)), expected, "{a} {b}");
            assert_eq!(overlap(net(b), net(a)), expected, "{b} {a}");
        };
        check("10.0.0.0/8", "10.1.0.0/16", true);
        check("10.0.0.0/16", "10.0.0.0/16", true);
        check("10.0.0.0/16", "10.1.0.0/16", false);
        check("0.0.0.0/0", "::/0", false);
        check("fd00::/48", "fd00:0:0:1::/64", true);
        check("10.0.0.77/8", "10.1.0.0/16", true);
    }

    #[test]
    fn normalised_prefixes_have_no_host_bits() {
        assert_eq!(normalised(net("10.1.2.3/16")), net("10.1.0.0/16"));
        assert_eq!(normalised(net("fd00::1/64")), net("fd00::/64"));
        assert_eq!(normalised(net("10.1.2.3/32")), net("10.1.2.3/32"));
    }

    #[test]
    fn the_gateway_is_the_first_address_after_the_network_address() {
        assert_eq!(gateway(net("10.1.0.0/24")), Some("10.1.0.1".parse().unwrap()));
        assert_eq!(gateway(net("fd00::/64")), Some("fd00::1".parse().unwrap()));
        assert_eq!(gateway(net("10.1.0.0/32")), None);
    }
}
