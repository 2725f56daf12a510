//! What may be leased: a node's pod CIDRs, less the addresses that are left out.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::IpamError;
use crate::cidr::{self, Family};

/// One pod CIDR. Left out are its network address, the first address (the CIDR's gateway address, which the node
/// itself may use as a source) and, for IPv4, the broadcast address.
///
/// So a /31, /32, /127 or /128 has nothing to lease. Pods get host routes, and could in principle use every address;
/// but a pod that held the network or gateway address of its node would be taken for the node by other tools, and a
/// rule without exceptions is easier to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    cidr: IpNetwork,
    /// The first usable address as a number.
    first: u128,
    /// How many usable addresses follow each other from there; at least 1.
    size: u128,
}

impl Pool {
    /// The pool of a CIDR; host bits are ignored.
    ///
    /// # Errors
    /// [`IpamError::NoUsableAddress`] when the CIDR is too small.
    pub fn new(cidr: IpNetwork) -> Result<Self, IpamError> {
        let cidr = cidr::normalised(cidr);
        let family = Family::of_net(cidr);
        let left_out = match family {
            Family::V4 => 3,
            Family::V6 => 2,
        };
        let host_bits = u32::from(family.bits() - cidr.prefix());
        // ::/0 has 2^128 addresses, one more than the type holds; the last one is never reached.
        let addresses = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX);
        if addresses <= left_out {
            return Err(IpamError::NoUsableAddress { cidr });
        }
        Ok(Self { cidr, first: cidr::number(cidr.network()) + 2, size: addresses - left_out })
    }

    /// Its CIDR, without host bits.
    #[must_use]
    pub const fn cidr(&self) -> IpNetwork {
        self.cidr
    }

    /// How many addresses it has for pods.
    #[must_use]
    pub const fn size(&self) -> u128 {
        self.size
    }

    /// The usable address at an offset below [`Self::size`].
    pub(super) fn address(&self, offset: u128) -> IpAddr {
        cidr::address(Family::of_net(self.cidr), self.first + offset)
    }

    /// Where a usable address stands; none for addresses outside and those left out.
    pub(super) fn offset(&self, address: IpAddr) -> Option<u128> {
        let offset = cidr::number(address).checked_sub(self.first)?;
        (self.cidr.contains(address) && offset < self.size).then_some(offset)
    }
}

/// The pools of a node, by family and in the order of its pod CIDRs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pools {
    v4: Vec<Pool>,
    v6: Vec<Pool>,
}

impl Pools {
    /// The pools of a node's pod CIDRs.
    ///
    /// # Errors
    /// [`IpamError::NoUsableAddress`] and [`IpamError::Overlap`], naming the CIDRs; [`IpamError::NoCidr`] for an empty
    /// list.
    pub fn new(cidrs: &[IpNetwork]) -> Result<Self, IpamError> {
        if cidrs.is_empty() {
            return Err(IpamError::NoCidr);
        }
        let mut pools = Self::default();
        for (index, &cidr) in cidrs.iter().enumerate() {
            if let Some(&first) = cidrs[..index].iter().find(|&&first| cidr::overlap(first, cidr)) {
                return Err(IpamError::Overlap { first, second: cidr });
            }
            let pool = Pool::new(cidr)?;
            match Family::of_net(cidr) {
                Family::V4 => pools.v4.push(pool),
                Family::V6 => pools.v6.push(pool),
            }
        }
        Ok(pools)
    }

    /// The pools of one family.
    #[must_use]
    pub fn of(&self, family: Family) -> &[Pool] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// How many addresses a family has for pods.
    #[must_use]
    pub fn size(&self, family: Family) -> u128 {
        self.of(family).iter().fold(0, |sum: u128, pool| sum.saturating_add(pool.size))
    }

    /// The CIDRs of one family.
    #[must_use]
    pub fn cidrs(&self, family: Family) -> Vec<IpNetwork> {
        self.of(family).iter().map(Pool::cidr).collect()
    }

    /// Whether a pod may have this address.
    #[must_use]
    pub fn usable(&self, address: IpAddr) -> bool {
        self.of(Family::of(address)).iter().any(|pool| pool.offset(address).is_some())
    }

    /// Every usable address of a family once, in round-robin order: what follows `cursor` first, `cursor` itself last.
    /// Lazy, so that an IPv6 /48 costs nothing.
    pub(super) fn ring(&self, family: Family, cursor: Option<IpAddr>) -> impl Iterator<Item = IpAddr> + '_ {
        let pools = self.of(family);
        let stands = cursor
            .and_then(|cursor| pools.iter().enumerate().find_map(|(at, pool)| Some((at, pool.offset(cursor)? + 1))));
        let (at, offset) = stands.unwrap_or((0, 0));
        let turns = if pools.is_empty() { 0 } else { pools.len() + 1 };
        (0..turns).flat_map(move |turn| {
            let pool = &pools[(at + turn) % pools.len()];
            let offsets = match turn {
                0 => offset..pool.size,
                _ if turn == pools.len() => 0..offset,
                _ => 0..pool.size,
            };
            offsets.map(|offset| pool.address(offset))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cidrs: &[&str], cursor: Option<&str>, expected: &[&str]) {
        let cidrs: Vec<IpNetwork> = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
        let pools = Pools::new(&cidrs).unwrap();
        let ring = pools.ring(Family::of_net(cidrs[0]), cursor.map(|cursor| cursor.parse().unwrap()));
        let addresses: Vec<String> = ring.take(12).map(|address| address.to_string()).collect();
        assert_eq!(addresses, expected, "{cidrs:?} {cursor:?}");
    }

    fn check_error(cidrs: &[&str], expected: &str) {
        let cidrs: Vec<IpNetwork> = cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect();
        assert_eq!(Pools::new(&cidrs).unwrap_err().to_string(), expected);
    }

    #[test]
    fn network_gateway_and_broadcast_addresses_are_left_out() {
        check(&["10.1.0.0/29"], None, &["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"]);
        check(&["10.1.0.0/30"], None, &["10.1.0.2"]);
        check(&["fd00::/126"], None, &["fd00::2", "fd00::3"]);
    }

    #[test]
    fn the_ring_goes_on_after_the_cursor_through_every_cidr() {
        let cidrs = &["10.1.0.0/29", "10.9.0.0/30"];
        check(cidrs, Some("10.1.0.5"), &["10.1.0.6", "10.9.0.2", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"]);
        check(cidrs, Some("10.9.0.2"), &["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6", "10.9.0.2"]);
        check(cidrs, Some("10.7.7.7"), &["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6", "10.9.0.2"]);
    }

    #[test]
    fn huge_pools_are_not_enumerated() {
        for cidr in ["::/0", "fd00::/48", "fd00::/64", "0.0.0.0/0"] {
            let pools = Pools::new(&[cidr.parse().unwrap()]).unwrap();
            let family = Family::of_net(cidr.parse().unwrap());
            assert_eq!(pools.ring(family, None).take(3).count(), 3, "{cidr}");
        }
    }

    #[test]
    fn a_cidr_without_a_usable_address_is_named() {
        for cidr in ["10.1.0.0/31", "10.1.0.0/32", "fd00::/127", "fd00::/128"] {
            check_error(
                &[cidr],
                &format!(
                    "pod CIDR {cidr} has no address for pods: the network, gateway and broadcast addresses are left \
                     out; give the node a pod CIDR of /30 (IPv4) or /126 (IPv6) or larger"
                ),
            );
        }
    }

    #[test]
    fn overlapping_cidrs_of_one_node_are_named() {
        check_error(
            &["10.1.0.0/16", "fd00::/64", "10.1.7.0/24"],
            "pod CIDRs 10.1.0.0/16 and 10.1.7.0/24 overlap; correct spec.podCIDRs of the node",
        );
        check_error(&[], "the node has no pod CIDR; set spec.podCIDRs of its Node object");
    }
}
