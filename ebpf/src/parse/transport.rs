//! What layer 4 says of a packet: its ports, and what kind of message it is.

use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use ferrule_common::{
    Drop,
    wire::{self, ETHERNET, protocol},
};

use crate::parse::{
    message::{ECHO_REPLY, ECHO_REQUEST, ENDS, MALFORMED, OPENS, PORTS, RESETS, Transport, message},
    packet::{self, Packet},
};

impl Transport {
    /// Reads the layer 4 header; the packet is no later fragment.
    #[inline(always)]
    pub fn parse(ctx: &TcContext, packet: &Packet) -> Result<Self, Drop> {
        let Packet { l4, end, protocol, v4, .. } = *packet;
        Self::from_told(fr_transport(ctx.skb.skb, l4, end, protocol.into(), v4.into())).ok_or(Drop::Malformed)
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Reads the layer 4 header at `l4` of a packet that ends at `end`: [`Transport::told`]. A function of its own, so that
/// the verifier does not follow each protocol to the programs' ends.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_transport(skb: *mut __sk_buff, l4: u32, end: u32, protocol: u32, v4: u32) -> u64 {
    let ctx = TcContext::new(skb);
    let header = Header { ctx: &ctx, l4, end };
    let transport = match (protocol as u8, v4 != 0) {
        (protocol::TCP, _) => header.tcp(),
        (protocol::UDP | protocol::SCTP, _) => header.ports(),
        (protocol::ICMP, true) => header.icmp(true),
        (protocol::ICMPV6, false) => header.icmp(false),
        _ => Some(Transport::NONE),
    };
    transport.map_or(MALFORMED, Transport::told)
}

/// Where layer 4 begins behind an IPv4 header without options.
const SHORTEST_V4: u32 = (ETHERNET + wire::IPV4) as u32;
/// Where layer 4 begins behind an IPv6 header without extensions.
const SHORTEST_V6: u32 = (ETHERNET + wire::IPV6) as u32;

/// A layer 4 header, not read yet.
struct Header<'a> {
    ctx: &'a TcContext,
    l4: u32,
    end: u32,
}

impl Header<'_> {
    /// The first halves of it.
    #[inline(always)]
    fn load<const N: usize>(&self) -> Option<[u16; N]> {
        if self.l4 + 2 * N as u32 > self.end {
            return None;
        }
        // Most lie behind the shortest header, in the linear part: no call of a helper then.
        if self.l4 == SHORTEST_V4
            && let Some(halves) = linear(self.ctx, SHORTEST_V4)
        {
            return Some(halves);
        }
        if self.l4 == SHORTEST_V6
            && let Some(halves) = linear(self.ctx, SHORTEST_V6)
        {
            return Some(halves);
        }
        self.ctx.load(self.l4 as usize).ok()
    }

    #[inline(always)]
    fn ports(&self) -> Option<Transport> {
        let [source_port_be, destination_port_be] = self.load()?;
        Some(Transport { source_port_be, destination_port_be, message: PORTS })
    }

    #[inline(always)]
    fn tcp(&self) -> Option<Transport> {
        let header = self.load::<7>()?;
        let [offset, flags] = header[6].to_ne_bytes();
        // RFC 9293 section 3.1: five words at least.
        if offset >> 4 < 5 {
            return None;
        }
        let mut message = PORTS;
        if flags & (SYN | ACK) == SYN {
            message |= OPENS;
        }
        if flags & FIN != 0 {
            message |= ENDS;
        }
        if flags & RST != 0 {
            message |= RESETS;
        }
        Some(Transport { source_port_be: header[0], destination_port_be: header[1], message })
    }

    /// RFC 792, RFC 4443.
    #[inline(always)]
    fn icmp(&self, v4: bool) -> Option<Transport> {
        let header = self.load::<4>()?;
        let [kind, _] = header[0].to_ne_bytes();
        let message = message(v4, kind);
        let identifier = if message == ECHO_REQUEST || message == ECHO_REPLY { header[2] } else { 0 };
        Some(Transport { source_port_be: identifier, destination_port_be: identifier, message })
    }
}

/// Halves at an even offset, where they lie in the linear part.
#[inline(always)]
fn linear<const N: usize>(ctx: &TcContext, offset: u32) -> Option<[u16; N]> {
    let halves = packet::header::<[u16; N]>(ctx, offset as usize)?;
    // SAFETY: `header` checked the bounds, and an even place is all that halves ask for.
    Some(unsafe { halves.read() })
}
