//! A packet of the tunnel's into a pod, without the overlay device: where it is exactly what the node that owns its source would
//! send, and is for a pod that a program reaches. Everything else is left as it is to the device, and judged in `from_overlay`:
//! what is forged, broken or not allowed, what a router marked, what is for the node itself.

use aya_ebpf::{
    bindings::{
        BPF_CSUM_LEVEL_DEC, BPF_F_ADJ_ROOM_DECAP_L3_IPV6, BPF_F_ADJ_ROOM_FIXED_GSO, BPF_F_ADJ_ROOM_NO_CSUM_RESET,
        bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    helpers::{bpf_csum_level, bpf_skb_adjust_room},
    programs::TcContext,
};
use ferrule_common::{
    Drop, Outcome, Program,
    endpoint::Endpoint,
    vxlan::{self, Headers},
    wire::{ETHERNET, IPV4, ethertype, protocol},
};

use crate::{
    context::End,
    forward::{deliver, endpoint, owner, redirect},
    maps::OPENS_V6,
    observe::count::Passed,
    parse::packet::{Packet, gso_size, header, ifindex, is_for_host},
    policy::{verdict, verdict::Way},
};

/// Where the inner packet begins.
const INNER: usize = ETHERNET + vxlan::LENGTH;
/// Where the EtherType stands.
const ETHERTYPE: usize = 12;

/// Goes from a packet of the tunnel's to the one in it, and gives the pod that this is for; the packet stays what it is where
/// that is the device's to do.
#[inline(always)]
pub fn enter(ctx: &TcContext, packet: &mut Packet) -> Option<&'static Endpoint> {
    let inner = inner(ctx, packet)?;
    let pod = receiver(ctx, packet, &inner)?;
    *packet = inner;
    Some(pod)
}

/// Delivers the packet that was entered. What may not pass is left to the device, too: a refusal is told in `from_overlay`, where
/// the packet is what was refused.
#[inline(always)]
pub fn to_pod(ctx: &TcContext, packet: &Packet, pod: &Endpoint) -> Result<Passed, Drop> {
    match verdict::between(
        ctx,
        packet,
        Way { source: End::REMOTE, destination: End::local(pod.index), flags: 0, program: Program::FromNetdev },
    ) {
        Ok(passage) if !passage.via_stack && open(ctx, packet.v4) => redirect::into(ctx, pod.ifindex, Outcome::Pod),
        _ => deliver::leave(),
    }
}

/// The packet in the tunnel, where a program may have put it there. It fills the outer one: several datagrams that the kernel
/// took together are no single packet.
#[inline(always)]
fn inner(ctx: &TcContext, outer: &Packet) -> Option<Packet> {
    let whole = outer.v4 && outer.l4 == L4 && !outer.later_fragment && !outer.first_fragment && outer.end == ctx.len();
    if !whole || !is_for_host(ctx) {
        return None;
    }
    let headers = header::<Headers>(ctx, ETHERNET)?;
    // SAFETY: `header` checked the bounds; the type is packed and made of integers.
    let headers = unsafe { &*headers };
    if !headers.are_plain(ctx.len() - ETHERNET as u32) {
        return None;
    }
    let ethertype = u16::from_be(headers.ethernet.ethertype_be);
    if ethertype == ethertype::IPV6 && OPENS_V6.load() == 0 {
        return None;
    }
    let packet = Packet::parse_inner(ctx, ethertype, INNER).ok()??;
    // A kernel keeps in mind that a packet which is still to be cut was in a tunnel, and whoever cuts datagrams takes that to be so
    // still (`udp4_ufo_fragment`); segments of TCP are not cut by whoever receives them.
    let cut_by_its_receiver = gso_size(ctx) != 0 && packet.protocol != protocol::TCP;
    if packet.end == ctx.len() && !cut_by_its_receiver { Some(packet) } else { None }
}

/// Where layer 4 begins behind an IPv4 header without options.
const L4: u32 = (ETHERNET + IPV4) as u32;

/// The pod that the packet is for, if it comes from its source's node in the way by which this node would answer: the device, and
/// both outer addresses. That is no less than `from_overlay` asks for, and what a strict reverse path filter does.
#[inline(always)]
fn receiver(ctx: &TcContext, outer: &Packet, packet: &Packet) -> Option<&'static Endpoint> {
    let pod = endpoint::local(&packet.destination)?;
    if endpoint::is_via_stack(pod.flags) || endpoint::local(&packet.source).is_some() {
        return None;
    }
    let node = owner::of(&packet.source, packet.v4).node()?;
    let expected = node.uplink == ifindex(ctx) && outer.source == node.tunnel && outer.destination == *node.source();
    if expected { Some(pod) } else { None }
}

/// Takes the outer headers off; false where the kernel does not. The frame keeps the outer MACs, which are this node's.
#[inline(always)]
fn open(ctx: &TcContext, v4: bool) -> bool {
    let mut flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
    if !v4 {
        flags |= BPF_F_ADJ_ROOM_DECAP_L3_IPV6;
    }
    let skb = ctx.skb.skb;
    // SAFETY: takes integers beside the context pointer, which is valid while the program runs.
    if unsafe { bpf_skb_adjust_room(skb, -(vxlan::LENGTH as i32), BPF_ADJ_ROOM_MAC, flags.into()) } != 0 {
        return false;
    }
    // What the device said of checksums begins with the outer UDP's, though it has none: one less, or an inner checksum that
    // nobody looked at would be taken for right.
    // SAFETY: as above.
    unsafe { bpf_csum_level(skb, BPF_CSUM_LEVEL_DEC.into()) };
    if !v4 {
        // A failure leaves a frame that is called IPv4 to whoever listens on the pod's link; the kernel goes by its own field.
        let _ = ctx.store(ETHERTYPE, &ethertype::IPV6.to_be(), 0);
    }
    true
}
