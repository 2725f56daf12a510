//! The tunnel's headers over IPv4 as a program writes and reads them (RFC 7348): outer IPv4, UDP, VXLAN, inner Ethernet.
//!
//! Only what a program itself would write is read by one. Everything else is the kernel's VXLAN device's to judge.

#![expect(clippy::cast_possible_truncation, reason = "halves of words, and lengths of at most `LARGEST`")]

use crate::{
    settings,
    wire::{Ethernet, Ipv4, protocol},
};

/// A UDP header (RFC 768).
#[repr(C, packed(2))]
#[derive(Debug, Clone, Copy)]
pub struct Udp {
    /// Source port, network byte order.
    pub source_be: u16,
    /// Destination port, network byte order.
    pub destination_be: u16,
    /// Length of header and payload, network byte order.
    pub length_be: u16,
    /// Checksum; 0 where there is none.
    pub checksum_be: u16,
}

/// A VXLAN header: in halves, since it is aligned to two bytes.
pub type Vxlan = [u16; 4];

/// What stands between the outer Ethernet header and the inner packet.
#[repr(C, packed(2))]
#[derive(Debug, Clone, Copy)]
pub struct Headers {
    /// The outer IPv4 header.
    pub ip: Ipv4,
    /// The outer UDP header.
    pub udp: Udp,
    /// The VXLAN header.
    pub vxlan: Vxlan,
    /// The inner Ethernet header.
    pub ethernet: Ethernet,
}

/// Bytes that the tunnel adds.
pub const LENGTH: usize = size_of::<Headers>();
const _: () = assert!(LENGTH == 50);

/// The largest outer packet: IPv4's total length has 16 bits.
pub const LARGEST: u32 = u16::MAX as u32;
/// The outer TTL, as the device writes it.
pub const TTL: u8 = 64;
/// Of the outer IPv4 header: do not fragment.
pub const DONT_FRAGMENT: u16 = 0x4000;
/// The VXLAN header: a valid network identifier, which is [`settings::VNI`].
pub const VXLAN: Vxlan =
    [0x0800_u16.to_be(), 0, ((settings::VNI >> 8) as u16).to_be(), ((settings::VNI as u16) << 8).to_be()];

/// ECN (RFC 3168) of an outer header: the inner one's, but for congestion, which nobody has met on the way yet (RFC 6040
/// section 4.1, compatibility with the device's way).
#[inline(always)]
#[must_use]
pub const fn outer_ecn(inner: u8) -> u8 {
    const ECT_0: u8 = 2;
    if inner & ECN == CONGESTED { ECT_0 } else { inner & ECN }
}

/// The bits of ECN in a type of service.
pub const ECN: u8 = 3;
/// ECN: a router was congested.
pub const CONGESTED: u8 = 3;

/// The outer source port of a flow with this hash: of the ports that RFC 6335 leaves to everybody.
#[inline(always)]
#[must_use]
pub const fn source_port(hash: u32) -> u16 {
    0xc000 | ((hash ^ hash >> 16) as u16 & 0x3fff)
}

impl Headers {
    /// Around an inner packet of `inner` bytes without its Ethernet header, which has the hash of a flow; `::` are no outer
    /// addresses. The caller saw that all of it fits in [`LARGEST`].
    #[inline(always)]
    #[must_use]
    pub const fn new(
        inner: u32,
        ecn: u8,
        [source, destination]: [[u16; 2]; 2],
        [from, to]: [u16; 2],
        ethernet: Ethernet,
    ) -> Self {
        let total = (inner + LENGTH as u32) as u16;
        let ip = Ipv4 {
            version_ihl: 0x45,
            tos: outer_ecn(ecn),
            total_length_be: total.to_be(),
            // Nothing fragments it (RFC 6864 section 4.1).
            id_be: 0,
            fragment_be: DONT_FRAGMENT.to_be(),
            ttl: TTL,
            protocol: protocol::UDP,
            checksum_be: 0,
            source,
            destination,
        };
        Self {
            ip: Ipv4 { checksum_be: checksum(&ip), ..ip },
            udp: Udp {
                source_be: from.to_be(),
                destination_be: to.to_be(),
                length_be: (total - size_of::<Ipv4>() as u16).to_be(),
                checksum_be: 0,
            },
            vxlan: VXLAN,
            ethernet,
        }
    }

    /// Whether a program could have written UDP and VXLAN of an outer packet of `total` bytes, which is IPv4 without options,
    /// no fragment and to the tunnel's port.
    #[inline(always)]
    #[must_use]
    pub const fn are_plain(&self, total: u32) -> bool {
        let (udp, [first, second, third, last]) = (self.udp, self.vxlan);
        let [wanted_first, wanted_second, wanted_third, wanted_last] = VXLAN;
        u16::from_be(udp.length_be) as u32 + size_of::<Ipv4>() as u32 == total
            && udp.checksum_be == 0
            && first == wanted_first
            && second == wanted_second
            && third == wanted_third
            && last == wanted_last
            // The device puts a router's congestion into the inner header.
            && self.ip.tos & ECN != CONGESTED
            // Ethernet's group bit: the frame is for one.
            && self.ethernet.destination[0].to_ne_bytes()[0] & 1 == 0
    }
}

/// The checksum of an IPv4 header without options, whose own is 0 (RFC 1071): a sum of halves, whatever their byte order.
#[inline(always)]
const fn checksum(ip: &Ipv4) -> u16 {
    let Ipv4 { version_ihl, tos, total_length_be, id_be, fragment_be, ttl, protocol, source, destination, .. } = *ip;
    let sum = u16::from_ne_bytes([version_ihl, tos]) as u32
        + total_length_be as u32
        + id_be as u32
        + fragment_be as u32
        + u16::from_ne_bytes([ttl, protocol]) as u32
        + source[0] as u32
        + source[1] as u32
        + destination[0] as u32
        + destination[1] as u32;
    // Nine halves carry no more than eight, which the first fold takes; the second takes the last carry.
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const ETHERNET: Ethernet = Ethernet { destination: [2, 0, 1], source: [2, 0, 2], ethertype_be: 0x0800_u16.to_be() };

    fn octets(ip: &Ipv4) -> Vec<u8> {
        let mut bytes = std::vec![ip.version_ihl, ip.tos];
        for half in [ip.total_length_be, ip.id_be, ip.fragment_be] {
            bytes.extend(half.to_ne_bytes());
        }
        bytes.extend([ip.ttl, ip.protocol]);
        for half in [ip.checksum_be, ip.source[0], ip.source[1], ip.destination[0], ip.destination[1]] {
            bytes.extend(half.to_ne_bytes());
        }
        bytes
    }

    /// RFC 791: the sum over the whole header is all ones.
    fn verifies(ip: &Ipv4) -> bool {
        let halves = octets(ip).chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).collect::<Vec<_>>();
        let mut sum: u32 = halves.iter().sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum == 0xffff
    }

    #[test]
    fn every_length_and_address_has_a_right_checksum() {
        for inner in (20..=LARGEST - LENGTH as u32).step_by(7) {
            for last in [0, 1, 0x7fff, 0x8000, 0xffff] {
                let addresses = [[0xffff, last], [last, 0xffff]];
                let headers = Headers::new(inner, (inner % 4) as u8, addresses, [0xc001, 8472], ETHERNET);
                let ip = headers.ip;
                assert!(verifies(&ip), "{ip:?}");
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for ecn in 0..4 {
            let headers = Headers::new(1450, ecn, [[1, 2], [3, 4]], [0xc001, 8472], ETHERNET);
            assert!(headers.are_plain(1500) && !headers.are_plain(1499) && !headers.are_plain(1501));
        }
    }

    #[test]
    fn nothing_else_is() {
        let plain = Headers::new(1450, 0, [[1, 2], [3, 4]], [0xc001, 8472], ETHERNET);
        let refused = |change: fn(&mut Headers)| {
            let mut headers = plain;
            change(&mut headers);
            assert!(!headers.are_plain(1500), "{headers:?}");
        };
        refused(|headers| headers.udp.checksum_be = 1);
        refused(|headers| headers.udp.length_be = 1479_u16.to_be());
        refused(|headers| headers.vxlan[0] = 0);
        refused(|headers| headers.vxlan[0] = 0x8800_u16.to_be());
        refused(|headers| headers.vxlan[1] = 1);
        refused(|headers| headers.vxlan[2] = 1);
        refused(|headers| headers.vxlan[3] = 0x0200_u16.to_be());
        refused(|headers| headers.vxlan[3] = 0x0101_u16.to_be());
        refused(|headers| headers.ip.tos = CONGESTED);
        refused(|headers| headers.ethernet.destination = [u16::MAX; 3]);
    }

    #[test]
    fn congestion_of_the_inner_packet_is_not_met_again() {
        assert_eq!([0, 1, 2, 3, 0xfc, 0xff].map(outer_ecn), [0, 1, 2, 2, 0, 2]);
    }

    #[test]
    fn source_ports_are_of_the_free_range_and_spread() {
        let mut ports: Vec<u16> = (0..4096_u32).map(|flow| source_port(flow.wrapping_mul(0x9e37_79b1))).collect();
        assert!(ports.iter().all(|port| *port >= 0xc000));
        ports.sort_unstable();
        ports.dedup();
        assert!(ports.len() > 3000, "{}", ports.len());
    }
}
