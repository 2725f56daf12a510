//! The overlay device: what is about to be encapsulated, and what was decapsulated.

use aya_ebpf::programs::TcContext;
use ferrule_common::{Address, Drop, Outcome, Program};

use super::{carried, device};
use crate::{
    context,
    context::End,
    forward::{arrival, deliver, endpoint, mark, owner, tunnel},
    observe::count::{Passed, finish},
    parse::{
        packet::{Packet, came_by},
        scope,
    },
    policy::{verdict, verdict::Way},
};

/// What arrives through the tunnel, decapsulated.
#[inline(always)]
pub fn from_overlay(ctx: &TcContext) -> i32 {
    finish(ctx, Program::FromOverlay, leave_overlay(ctx))
}

#[inline(always)]
fn leave_overlay(ctx: &TcContext) -> Result<Passed, Drop> {
    let outer = tunnel::source(ctx)?;
    // An address that a node does not have is `::` in its entry.
    if outer == Address::UNSPECIFIED {
        return Err(Drop::WrongNode);
    }
    let packet = Packet::parse(ctx)?.ok_or(Drop::Ethertype)?;
    if endpoint::local(&packet.source).is_some() {
        return Err(Drop::LocalSource);
    }
    let owner = owner::of(&packet.source, packet.v4);
    let node = owner.node().ok_or(Drop::WrongNode)?;
    // This node's own addresses are index 0, whose entry is empty and matches no outer source.
    if outer != node.internal_v4 && outer != node.internal_v6 && !owner.is_at(&outer) {
        return Err(Drop::WrongNode);
    }
    if let Some(pod) = endpoint::local(&packet.destination) {
        return device::reach_from_device(ctx, &packet, pod, Program::FromOverlay);
    }
    // This node, or an unused address of its pod CIDR, which the stack's routes call unreachable.
    if owner::of(&packet.destination, packet.v4).is_self() {
        // A compromised node's pods speak of the ways to others no more than anybody.
        device::reach_stack(ctx, &packet)?;
        return deliver::adopted_by_stack(ctx);
    }
    Err(Drop::NotHere)
}

/// What is about to be encapsulated: pods' packets from `from_pod`, and the node's own from its stack.
#[inline(always)]
pub fn to_overlay(ctx: &TcContext) -> i32 {
    finish(ctx, Program::ToOverlay, reach_overlay(ctx))
}

#[inline(always)]
fn reach_overlay(ctx: &TcContext) -> Result<Passed, Drop> {
    let packet = Packet::parse(ctx)?.ok_or(Drop::Ethertype)?;
    if let Some(sender) = carried::unjudged(ctx, &packet).or_else(|| carried::translated(ctx, &packet)) {
        verdict::between(
            ctx,
            &packet,
            Way { source: sender, destination: End::REMOTE, flags: context::CARRIED, program: Program::ToOverlay },
        )?;
    }
    let by = came_by(ctx);
    let own = match endpoint::local(&packet.source) {
        Some(pod) if pod.ifindex == by => true,
        Some(_) => arrival::check(ctx, &packet).map(|()| true)?,
        None => owner::of(&packet.source, packet.v4).is_self(),
    };
    if own {
        mark::set_tunnelled(ctx);
        return deliver::on(Outcome::Overlay);
    }
    let multicast = scope::is_multicast_v6(&packet.destination) && !packet.v4;
    // Else the receiver would drop it: the source's node is not this one.
    Err(if multicast { Drop::Multicast } else { Drop::ForeignSource })
}
