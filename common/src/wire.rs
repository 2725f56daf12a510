//! Headers as they lie in a packet. Fields are in network byte order.
//!
//! `packed(2)`: an Ethernet header is 14 bytes long, so that what follows is aligned to two bytes only; addresses are
//! arrays of halves for the same reason.

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
/// Length of an IPv4 header without options.
pub const IPV4: usize = 20;
/// Length of an IPv6 header.
pub const IPV6: usize = 40;

/// EtherTypes, host byte order.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q.
    pub const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad.
    pub const QINQ: u16 = 0x88a8;
}

/// IP protocol numbers.
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// An Ethernet header.
#[repr(C, packed(2))]
#[derive(Debug, Clone, Copy)]
pub struct Ethernet {
    /// Destination MAC.
    pub destination: [u16; 3],
    /// Source MAC.
    pub source: [u16; 3],
    /// EtherType, network byte order.
    pub ethertype_be: u16,
}

/// An IPv4 header without options (RFC 791).
#[repr(C, packed(2))]
#[derive(Debug, Clone, Copy)]
pub struct Ipv4 {
    /// Version in the high four bits, header length in 32-bit words in the low ones.
    pub version_ihl: u8,
    /// DSCP and ECN.
    pub tos: u8,
    /// Length of header and payload, network byte order.
    pub total_length_be: u16,
    /// Identification.
    pub id_be: u16,
    /// Flags and fragment offset, network byte order.
    pub fragment_be: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol.
    pub protocol: u8,
    /// Header checksum.
    pub checksum_be: u16,
    /// Source address.
    pub source: [u16; 2],
    /// Destination address.
    pub destination: [u16; 2],
}

/// An IPv6 header (RFC 8200).
#[repr(C, packed(2))]
#[derive(Debug, Clone, Copy)]
pub struct Ipv6 {
    /// Version in the high four bits of the first octet, then traffic class and flow label.
    pub version_class_label: [u8; 4],
    /// Length of what follows this header, network byte order; 0 with a jumbogram.
    pub payload_length_be: u16,
    /// Protocol of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u16; 8],
    /// Destination address.
    pub destination: [u16; 8],
}

/// ARP for IPv4 over Ethernet (RFC 826).
#[repr(C, packed(2))]
#[derive(Debug, Clone, Copy)]
pub struct Arp {
    /// Hardware type 1, protocol 0x0800, lengths 6 and 4, as they lie in the packet.
    pub kind: [u16; 3],
    /// 1 request, 2 reply; network byte order.
    pub operation_be: u16,
    /// Sender's MAC.
    pub sender_mac: [u16; 3],
    /// Sender's address.
    pub sender: [u16; 2],
    /// Target's MAC.
    pub target_mac: [u16; 3],
    /// Target's address.
    pub target: [u16; 2],
}

/// [`Arp::kind`] of IPv4 over Ethernet.
pub const ARP_IPV4_ETHERNET: [u16; 3] = [1_u16.to_be(), 0x0800_u16.to_be(), 0x0604_u16.to_be()];

/// The checksum of an IPv4 header whose TTL was decremented by one (RFC 1141), both in network byte order.
#[inline(always)]
#[must_use]
pub const fn checksum_after_ttl(checksum_be: u16) -> u16 {
    let sum = u16::from_be(checksum_be) as u32 + 0x0100;
    // End-around carry; 0xffff and 0 are the same number, and the kernel writes 0.
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = if folded >= 0xffff { folded - 0xffff } else { folded };
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits above")]
    (folded as u16).to_be()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(header: &[u8]) -> u16 {
        let mut sum: u32 = header.chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).expect("folded")
    }

    #[test]
    fn a_decremented_ttl_keeps_every_header_checksum_right() {
        for id in 0..=u16::MAX {
            let mut header = [0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
            header[4..6].copy_from_slice(&id.to_be_bytes());
            let before = checksum(&header);
            header[8] -= 1;
            let after = checksum(&header);
            let updated = u16::from_be(checksum_after_ttl(before.to_be()));
            // 0 and 0xffff both verify.
            assert!(updated == after || (updated % 0xffff) == (after % 0xffff), "id {id}: {updated:04x} {after:04x}");
        }
    }
}
