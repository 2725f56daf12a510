//! Pods whose link another plugin made: what is not between two addresses is left to that plugin once it is known to be the
//! pod's own and its policies allow it. The link's upkeep (neighbour discovery, multicast listeners) always passes.

use aya_ebpf::{bindings::TC_ACT_UNSPEC, programs::TcContext};
use ferrule_common::{Drop, Outcome, Program, wire::protocol};

use crate::{
    context,
    context::End,
    forward::{deliver, discovery},
    observe::count::Passed,
    parse::{
        packet::{Packet, came_by, is_for_many},
        scope,
    },
    policy::{verdict, verdict::Way},
};

/// Multicast listener discovery: RFC 2710, RFC 3810.
const LISTENERS: core::ops::RangeInclusive<u8> = 130..=132;
const LISTENER_REPORT_V2: u8 = 143;

/// Whether a packet is for many, by its frame or its address.
#[inline(always)]
pub fn is_of_many(ctx: &TcContext, packet: &Packet) -> Result<bool, Drop> {
    let multicast = if packet.v4 {
        scope::is_multicast_v4(&packet.destination)
    } else {
        scope::is_multicast_v6(&packet.destination)
    };
    Ok(multicast || is_for_many(ctx)?)
}

/// Decides on what such a pod, whose source address was checked, sends to many. Not inlined, so that the stack of ordinary
/// pods' packets stays small.
#[inline(never)]
pub fn from_pod(ctx: &TcContext, packet: &Packet, index: u32) -> Result<Passed, Drop> {
    verdict::alone(
        ctx,
        packet,
        Way { source: End::local(index), destination: End::REMOTE, flags: 0, program: Program::FromPod },
    )?;
    deliver::to_stack()
}

/// Decides on IPv6 of the link from such a pod. It speaks for itself, and is no router.
#[inline(always)]
pub fn of_link(ctx: &TcContext, packet: &Packet, index: u32) -> Result<Passed, Drop> {
    match kind(ctx, packet)? {
        discovery::ROUTER_ADVERTISEMENT | discovery::REDIRECT => Err(Drop::RouterAdvertisement),
        // RFC 6980: where the target stands is known without extension headers only.
        discovery::NEIGHBOR_SOLICITATION | discovery::NEIGHBOR_ADVERTISEMENT if packet.extended => Err(Drop::Malformed),
        discovery::NEIGHBOR_ADVERTISEMENT if !discovery::is_own(ctx, &discovery::target(ctx, packet)?) => {
            Err(Drop::SpoofedNeighbor)
        }
        kind if is_upkeep(kind) => deliver::to_stack(),
        _ => from_pod(ctx, packet, index),
    }
}

/// Decides on what reaches such a pod by another address than its own.
#[inline(never)]
pub fn to_pod(ctx: &TcContext, packet: &Packet, index: u32) -> Result<Passed, Drop> {
    if !is_upkeep(kind(ctx, packet)?) {
        let link_local = !packet.v4 && scope::is_link_local_v6(&packet.destination);
        if !link_local && !is_of_many(ctx, packet)? {
            // Flooded by a bridge that does not know where its receiver is.
            return Err(Drop::NotThisPod);
        }
        let flags = if came_by(ctx) == 0 { context::BY_NODE } else { 0 };
        verdict::alone(
            ctx,
            packet,
            Way { source: End::REMOTE, destination: End::local(index), flags, program: Program::ToPod },
        )?;
    }
    Ok(Passed { outcome: Outcome::Pod, action: TC_ACT_UNSPEC })
}

/// The ICMPv6 type; 0, which is reserved, for everything else.
#[inline(always)]
fn kind(ctx: &TcContext, packet: &Packet) -> Result<u8, Drop> {
    if packet.v4 || packet.protocol != protocol::ICMPV6 || packet.later_fragment {
        return Ok(0);
    }
    packet.load::<u8>(ctx, 0)
}

/// Whether a message keeps the link working.
#[inline(always)]
fn is_upkeep(kind: u8) -> bool {
    matches!(kind, discovery::ROUTER_SOLICITATION..=discovery::REDIRECT)
        || LISTENERS.contains(&kind)
        || kind == LISTENER_REPORT_V2
}
