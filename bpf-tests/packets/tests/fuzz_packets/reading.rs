//! What a packet is, read byte by byte as RFC 791 and RFC 8200 say, with nothing of the programs' own.

use std::net::IpAddr;

/// An IP packet that a receiver would take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// IPv4; else IPv6.
    pub v4: bool,
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// Behind extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hops: u8,
    /// Not the first fragment.
    pub later_fragment: bool,
    /// The first of several.
    pub first_fragment: bool,
    /// How many IPv6 extension headers there are.
    pub extensions: usize,
    /// What the protocol's header and payload are; empty where they are cut off.
    pub payload: Vec<u8>,
    /// Source and destination port of TCP, UDP and SCTP, where they lie in the packet.
    pub ports: Option<(u16, u16)>,
}

impl Reading {
    /// Of an Ethernet frame; none where it holds no IP packet, or one that contradicts itself.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(14..)?;
        match (frame[12], frame[13]) {
            (0x08, 0x00) => Self::v4(packet),
            (0x86, 0xdd) => Self::v6(packet),
            _ => None,
        }
    }

    fn v4(packet: &[u8]) -> Option<Self> {
        let first = *packet.first()?;
        let (header, total) = (usize::from(first & 15) * 4, usize::from(number(packet, 2)?));
        if first >> 4 != 4 || header < 20 || total < header {
            return None;
        }
        // What lies behind the packet is padding.
        let packet = packet.get(..total)?;
        let place = number(packet, 6)?;
        let (more, offset) = (place & 0x2000 != 0, place & 0x1fff);
        let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
        Some(Self::new(
            (address(12)?, address(16)?),
            (packet[9], packet[8]),
            (offset != 0, offset == 0 && more),
            0,
            packet.get(header..)?,
        ))
    }

    fn v6(packet: &[u8]) -> Option<Self> {
        if packet.first()? >> 4 != 6 {
            return None;
        }
        let packet = packet.get(..40 + usize::from(number(packet, 4)?))?;
        let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
        let ends = (address(8)?, address(24)?);
        let (mut next, mut at, mut extensions) = (packet[6], 40, 0);
        let mut first_fragment = false;
        loop {
            let length = match next {
                44 => 8,
                51 => (usize::from(*packet.get(at + 1)?) + 2) * 4,
                0 | 43 | 60 | 135 | 139 | 140 => (usize::from(*packet.get(at + 1)?) + 1) * 8,
                _ => {
                    return Some(Self::new(
                        ends,
                        (next, packet[7]),
                        (false, first_fragment),
                        extensions,
                        packet.get(at..)?,
                    ));
                }
            };
            let fragment = next == 44;
            extensions += 1;
            next = *packet.get(at)?;
            if fragment {
                let place = number(packet, at + 2)?;
                // The rest is the middle of something.
                if place & 0xfff8 != 0 {
                    return Some(Self::new(
                        ends,
                        (next, packet[7]),
                        (true, false),
                        extensions,
                        packet.get(at + length..)?,
                    ));
                }
                first_fragment |= place & 1 != 0;
            }
            at += length;
            packet.get(at..)?;
        }
    }

    fn new(
        (source, destination): (IpAddr, IpAddr),
        (protocol, hops): (u8, u8),
        (later_fragment, first_fragment): (bool, bool),
        extensions: usize,
        payload: &[u8],
    ) -> Self {
        let ported = matches!(protocol, 6 | 17 | 132) && !later_fragment;
        let ports = if ported { number(payload, 0).zip(number(payload, 2)) } else { None };
        let (v4, payload) = (source.is_ipv4(), payload.to_vec());
        Self { v4, source, destination, protocol, hops, later_fragment, first_fragment, extensions, payload, ports }
    }

    /// Whether it is a datagram to a port.
    pub fn is_udp_to(&self, port: u16) -> bool {
        self.protocol == 17 && self.ports.is_some_and(|(_, to)| to == port)
    }

    /// An ICMPv6 type, where it is ICMPv6.
    pub fn icmp6(&self) -> Option<u8> {
        (!self.v4 && self.protocol == 58 && !self.later_fragment).then(|| self.payload.first().copied()).flatten()
    }
}

/// Two bytes in network byte order.
fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
