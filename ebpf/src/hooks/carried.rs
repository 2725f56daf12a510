//! What the host's stack carried: a pod's packet that was not judged where it began, since NAT may have given it other ends.

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, Program};

use crate::{
    context,
    context::End,
    forward::{endpoint, mark},
    parse::packet::{Packet, came_by},
    policy::{verdict, verdict::Way},
};

/// The pod that sent a packet whose egress is not judged yet, whatever address the host's NAT gave it since. The mark alone
/// says nothing: other software may use its bit.
#[inline(always)]
pub fn unjudged(ctx: &TcContext, packet: &Packet) -> Option<End> {
    if !mark::take_open(ctx) {
        return None;
    }
    match endpoint::local(&packet.source) {
        Some(pod) => Some(End::local(pod.index)),
        None => endpoint::behind_link(came_by(ctx)).map(|link| End::local(link.index)),
    }
}

/// The pod that sent a packet which was left to the stack and may have got another destination there.
#[inline(always)]
pub fn translated(ctx: &TcContext, packet: &Packet) -> Option<End> {
    if !mark::is_left_to_stack(ctx) {
        return None;
    }
    endpoint::local(&packet.source).map(|pod| End::local(pod.index))
}

/// Judges what left a pod for its own node and got other ends from the host's NAT since.
#[inline(always)]
pub fn close(ctx: &TcContext, packet: &Packet, program: Program) -> Result<(), Drop> {
    if let Some(sender) = unjudged(ctx, packet) {
        verdict::between(
            ctx,
            packet,
            Way { source: sender, destination: End::REMOTE, flags: context::CARRIED, program },
        )?;
    }
    Ok(())
}
