//! The last stage: size, hop limit, and the way out.
//!
//! A hop is the way from one node to another: a packet within a node keeps its hop limit, as on one link, and no program
//! that delivers to a pod writes to the packet.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, programs::TcContext};
use ferrule_common::{
    Address, Drop, Outcome,
    endpoint::Endpoint,
    peer::{self, Node},
    wire::{ETHERNET, Ipv4, checksum_after_ttl},
};

use crate::{
    forward::{encap, endpoint, redirect, tunnel},
    observe::count::Passed,
    parse::packet::{Packet, header, is_for_host},
};

/// Where the TTL stands in an Ethernet frame, followed by the protocol and the header's checksum.
const TTL: usize = ETHERNET + 8;
/// Where the hop limit stands in an Ethernet frame.
const HOP_LIMIT: usize = ETHERNET + 7;

/// Where a packet comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// By a pod of this node.
    Pod,
    /// A device of the node.
    Device,
}

/// On to the node's stack, as if no program were there.
#[inline(always)]
pub fn to_stack() -> Result<Passed, Drop> {
    Ok(Passed { outcome: Outcome::Stack, action: TC_ACT_UNSPEC })
}

/// On to the node's stack, from a device on which the frame's MAC is another's.
#[inline(always)]
pub fn adopted_by_stack(ctx: &TcContext) -> Result<Passed, Drop> {
    adopt(ctx);
    to_stack()
}

/// Makes a frame with another's MAC one that a stack takes; kernels before 6.15 do not in `bpf_redirect_peer`.
#[inline(always)]
fn adopt(ctx: &TcContext) {
    const PACKET_HOST: u32 = 0;
    if !is_for_host(ctx) {
        let _ = ctx.change_type(PACKET_HOST);
    }
}

/// On to where it was going, counted as this.
#[inline(always)]
pub fn on(outcome: Outcome) -> Result<Passed, Drop> {
    Ok(Passed { outcome, action: TC_ACT_UNSPEC })
}

/// Not a concern of ours.
#[inline(always)]
pub fn leave() -> Result<Passed, Drop> {
    Ok(Passed { outcome: Outcome::Foreign, action: TC_ACT_UNSPEC })
}

/// Into a pod of this node. What is too large for it goes to the stack, which answers the sender; so does what has to pass
/// the veth's queueing disciplines.
#[inline(always)]
pub fn to_pod(ctx: &TcContext, packet: &Packet, pod: &Endpoint, origin: Origin) -> Result<Passed, Drop> {
    if origin == Origin::Device {
        adopt(ctx);
    } else if packet.is_larger_than(ctx, pod.mtu) {
        return to_stack();
    }
    if endpoint::is_via_stack(pod.flags) {
        return to_stack();
    }
    redirect::into(ctx, pod.ifindex, Outcome::Pod)
}

/// To another node. What is too large or has no hop left goes to the stack, which answers the sender.
#[inline(always)]
pub fn to_node(ctx: &TcContext, packet: &Packet, node: &Node) -> Result<Passed, Drop> {
    if packet.hop_limit <= 1 || packet.is_larger_than(ctx, node.mtu) {
        return to_stack();
    }
    match node.forwarding {
        peer::VXLAN => {
            if node.uplink != 0
                && let Some(passed) = encap::to_node(ctx, packet, node)?
            {
                return Ok(passed);
            }
            if !tunnel::set(ctx, node)? {
                return to_stack();
            }
            take_hop(ctx, packet)?;
            redirect::to_device(ctx, node.ifindex, Outcome::Overlay)
        }
        peer::NATIVE => to_next_hop(ctx, packet, node),
        _ => to_stack(),
    }
}

#[inline(always)]
fn to_next_hop(ctx: &TcContext, packet: &Packet, node: &Node) -> Result<Passed, Drop> {
    let next_hop = if packet.v4 { &node.next_hop_v4 } else { &node.next_hop_v6 };
    if *next_hop == Address::UNSPECIFIED {
        // No next hop of this family is known: the kernel's routes decide.
        return to_stack();
    }
    take_hop(ctx, packet)?;
    redirect::by_next_hop(ctx, next_hop, node.ifindex, Outcome::Native)
}

/// As a router does (RFC 1812 section 5.3.1, RFC 8200 section 3). The caller saw that more than one hop is left.
///
/// By the helper: a program that writes to packets directly makes the kernel unshare every cloned one before it runs.
#[inline(always)]
fn take_hop(ctx: &TcContext, packet: &Packet) -> Result<(), Drop> {
    let hop_limit = packet.hop_limit - 1;
    let stored = if packet.v4 {
        let ip = header::<Ipv4>(ctx, ETHERNET).ok_or(Drop::Malformed)?;
        // SAFETY: `header` checked the bounds; the type is packed and made of integers.
        let checksum = checksum_after_ttl(unsafe { (*ip).checksum_be }).to_ne_bytes();
        // The header's sum stays what it was, so that a checksum over the whole packet stays right too.
        ctx.store(TTL, &[hop_limit, packet.protocol, checksum[0], checksum[1]], 0)
    } else {
        ctx.store(HOP_LIMIT, &hop_limit, 0)
    };
    stored.map_err(|_| Drop::Malformed)
}
