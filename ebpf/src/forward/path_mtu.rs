//! ICMP errors that tell this node how large a packet to another node may be. A forged one would cut the way between two nodes
//! for as long as the kernel believes it, so that one about the tunnel has to be about something that was sent, and none may
//! claim less than pods' packets need.

use aya_ebpf::{bindings::__sk_buff, programs::TcContext};
use ferrule_common::{
    Address,
    path::Sent,
    wire::{self, ETHERNET, Ipv4, Ipv6, protocol},
};

use crate::{
    conntrack::age,
    forward::{endpoint, owner},
    maps::{JIFFIES, SENT, TUNNEL_FLOOR, VXLAN_PORT},
    parse::{packet, packet::Packet},
};

/// Bytes of an ICMP error before what it quotes.
const ERROR: u32 = 8;
/// Where an IPv4 error has its MTU (RFC 1191 section 4).
const MTU_V4: u32 = 6;
/// Where an ICMPv6 error has the lower half of its MTU (RFC 4443 section 3.2).
const MTU_V6: u32 = 6;
/// For how many seconds a packet may be told of.
const SECONDS: u32 = 10;
/// Frames up to this are never too large: IPv6's least MTU with its Ethernet header.
const SMALL: u32 = 1280 + ETHERNET as u32;

/// [`fr_is_credible`]: the stack may believe it.
pub const CREDIBLE: u32 = 1;

/// Whether an ICMP error at `l4` about a packet's size, sent to this node, may be believed: [`CREDIBLE`], or 0.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_is_credible(skb: *mut __sk_buff, l4: u32, v4: u32) -> u32 {
    let ctx = TcContext::new(skb);
    let inner = l4 + ERROR;
    let (to, protocol, start);
    if v4 != 0 {
        let Ok(ip) = ctx.load::<Ipv4>(inner as usize) else { return 0 };
        (to, protocol) = (packet::v4(ip.destination), ip.protocol);
        start = inner + u32::from(ip.version_ihl & 0xf) * 4;
    } else {
        let Ok(ip) = ctx.load::<Ipv6>(inner as usize) else { return 0 };
        (to, protocol) = (packet::v6(ip.destination), ip.next_header);
        start = inner + wire::IPV6 as u32;
    }
    if endpoint::local(&to).is_some() {
        return CREDIBLE;
    }
    let owner = owner::known(&to);
    if !owner.is_node() || owner.is_self() {
        return CREDIBLE;
    }
    // Nothing of this node's has extension headers, behind which a port would hide.
    if v4 == 0 && packet::is_extension(protocol) {
        return 0;
    }
    // The kernel compares it with what the connection has sent (RFC 5927 section 4.1).
    if protocol == protocol::TCP {
        return CREDIBLE;
    }
    let Ok(mtu) = ctx.load::<u16>((l4 + if v4 != 0 { MTU_V4 } else { MTU_V6 }) as usize) else { return 0 };
    let more = if v4 != 0 { 0 } else { wire::IPV6 as u32 - wire::IPV4 as u32 };
    if u32::from(u16::from_be(mtu)) < TUNNEL_FLOOR.load() + more {
        return 0;
    }
    if protocol != protocol::UDP {
        return CREDIBLE;
    }
    let Ok([source_port_be, port_be]) = ctx.load::<[u16; 2]>(start as usize) else { return 0 };
    if u16::from_be(port_be) != VXLAN_PORT.load() {
        return CREDIBLE;
    }
    u32::from(was_sent(&to, source_port_be))
}

/// Remembers a packet of the tunnel's own that may be too large for somebody.
#[inline(always)]
pub fn remember(ctx: &TcContext, packet: &Packet) {
    if ctx.len() > SMALL
        && let Ok(port_be) = packet.load::<u16>(ctx, 0)
    {
        remember_of(ctx, &packet.destination, port_be);
    }
}

/// The same of a packet whose destination and source port are known.
#[inline(always)]
pub fn remember_of(ctx: &TcContext, to: &Address, port_be: u16) {
    if ctx.len() <= SMALL {
        return;
    }
    let tag = tag(to, port_be);
    if let Some(sent) = SENT.get_ptr_mut(tag % Sent::SLOTS) {
        // SAFETY: an aligned word of an array: a reader sees it as before or as after.
        unsafe { sent.write_volatile(Sent::new(tag, age::now())) };
    }
}

#[inline(always)]
fn was_sent(to: &Address, source_port_be: u16) -> bool {
    let tag = tag(to, source_port_be);
    SENT.get(tag % Sent::SLOTS)
        .is_some_and(|sent| sent.tag() == tag && age::now().wrapping_sub(sent.at()) < JIFFIES.load() * SECONDS)
}

/// Names a node and a source port.
#[inline(always)]
fn tag(to: &Address, source_port_be: u16) -> u32 {
    let words = to.words();
    (words[3] ^ words[2].rotate_left(7) ^ words[1].rotate_left(13) ^ u32::from(source_port_be).rotate_left(16))
        .wrapping_mul(0x9e37_79b1)
        >> 3
}
