//! ICMP errors pass where the packet that they quote belongs to a flow that may pass. This finds the flow; `verdict` decides.

use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use ferrule_common::{
    Address,
    wire::{self, Ipv4, Ipv6, protocol},
};

use crate::{
    conntrack::table,
    context::{End, PacketContext, QUOTED, V4},
    forward::endpoint,
    parse::{
        message::{self, BARE, ECHO_REPLY, ECHO_REQUEST, PORTS, Transport},
        packet,
        packet::{L4_SHIFT, LATER_FRAGMENT, MALFORMED, TOO_MANY},
    },
};

/// Bytes of an ICMP error before what it quotes.
const ERROR: u32 = 8;

/// What [`fr_related`] gives where the quoted packet is none that the error's sender may speak of.
const UNREAD: u32 = 0;
/// What [`fr_related`] gives where it has a flow, and the context is about it.
pub const A_FLOW: u32 = 1;
/// What [`fr_related`] gives where it has none.
const NO_FLOW: u32 = 2;

/// ICMP: destination unreachable, fragmentation needed (RFC 1191).
const TOO_LARGE_V4: [u8; 2] = [3, 4];
/// ICMPv6: packet too big (RFC 4443 section 3.2).
const TOO_LARGE_V6: u8 = 2;

/// Whether an ICMP error at `l4`, of which [`fr_related`] gave `related`, goes nowhere: 1, or 0. A pod speaks of packets that it
/// got, and of no others; and nobody tells a pod that packets of no flow are too large. Kernels believe both: they would send
/// smaller packets, or none, to whoever the error names.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_unrelated(skb: *mut __sk_buff, l4: u32, related: u32, by_pod: u32, v4: u32) -> u32 {
    if by_pod != 0 {
        // It may tell its own node, whose packets need no flow, what it did not take.
        return (related == UNREAD).into();
    }
    let Ok(kind) = TcContext::new(skb).load::<[u8; 2]>(l4 as usize) else { return 1 };
    if v4 != 0 { kind == TOO_LARGE_V4 } else { kind[0] == TOO_LARGE_V6 }.into()
}

/// Turns the context into one about the packet that an ICMP error at `l4` quotes, which the error's receiver once sent.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_related(skb: *mut __sk_buff, l4: u32) -> u32 {
    let Some(context) = PacketContext::current() else { return UNREAD };
    let ctx = TcContext::new(skb);
    let inner = l4 + ERROR;
    let (from, to, mut protocol, mut start);
    if context.flags & V4 != 0 {
        let Ok(ip) = ctx.load::<Ipv4>(inner as usize) else { return UNREAD };
        // Later fragments quote no ports.
        if u16::from_be(ip.fragment_be) & 0x1fff != 0 {
            return UNREAD;
        }
        (from, to, protocol) = (packet::v4(ip.source), packet::v4(ip.destination), ip.protocol);
        start = inner + u32::from(ip.version_ihl & 0xf) * 4;
    } else {
        let Ok(ip) = ctx.load::<Ipv6>(inner as usize) else { return UNREAD };
        (from, to, protocol) = (packet::v6(ip.source), packet::v6(ip.destination), ip.next_header);
        start = inner + wire::IPV6 as u32;
        if packet::is_extension(protocol) {
            let end = packet::fr_extensions(skb, protocol.into(), start);
            if end == MALFORMED || end == TOO_MANY || end & LATER_FRAGMENT != 0 {
                return UNREAD;
            }
            (protocol, start) = (end as u8, end >> L4_SHIFT);
        }
    }
    if !context.turn_to(&from, &to) {
        return UNREAD;
    }
    let Ok([first, second]) = ctx.load::<[u16; 2]>(start as usize) else { return UNREAD };
    let v4 = context.flags & V4 != 0;
    let transport = match protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => {
            Transport { source_port_be: first, destination_port_be: second, message: PORTS }
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let Ok(identifier) = ctx.load::<u16>(start as usize + 4) else { return UNREAD };
            let message = message::message(v4, first.to_ne_bytes()[0]);
            if message != ECHO_REQUEST && message != ECHO_REPLY {
                return UNREAD;
            }
            Transport { source_port_be: identifier, destination_port_be: identifier, message }
        }
        _ => Transport { message: BARE, ..Transport::NONE },
    };
    context.message = transport.message;
    context.name(transport, protocol);
    if table::find(&context.key).is_some() { A_FLOW } else { NO_FLOW }
}

impl PacketContext {
    /// Turns a context about an error into one about the quoted packet; false where it is none of its receiver's, or
    /// where a pod speaks for another.
    #[inline(always)]
    fn turn_to(&mut self, from: &Address, to: &Address) -> bool {
        if *from != self.to {
            return false;
        }
        let speaker = self.source;
        let spoken_for = if *to == self.from {
            speaker
        } else if speaker.endpoint != 0 {
            return false;
        } else {
            endpoint::local(to).map_or(End::REMOTE, |endpoint| End::local(endpoint.index))
        };
        (self.source, self.destination) = (self.destination, spoken_for);
        (self.from, self.to) = (*from, *to);
        self.flags |= QUOTED;
        true
    }
}
