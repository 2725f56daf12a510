//! What hooks of devices have in common: a pod is reached, the stack is, the tunnel leaves.

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, Outcome, Program, endpoint::Endpoint};

use crate::{
    context::End,
    forward::{arrival, deliver, deliver::Origin, endpoint, mark, owner, path_mtu},
    observe::count::Passed,
    parse::packet::{Packet, came_by},
    policy::{verdict, verdict::Way},
};

/// A pod is reached by another node's pod or by another node.
#[inline(always)]
pub fn reach_from_device(ctx: &TcContext, packet: &Packet, pod: &Endpoint, program: Program) -> Result<Passed, Drop> {
    let passage = verdict::between(
        ctx,
        packet,
        Way { source: End::REMOTE, destination: End::local(pod.index), flags: 0, program },
    )?;
    if passage.via_stack {
        return deliver::adopted_by_stack(ctx);
    }
    deliver::to_pod(ctx, packet, pod, Origin::Device)
}

/// What is not for a pod, which the host's stack judges; but not whom to believe about the ways between nodes.
#[inline(always)]
pub fn reach_stack(ctx: &TcContext, packet: &Packet) -> Result<Passed, Drop> {
    if !packet.is_too_large_error(ctx) {
        return deliver::leave();
    }
    if path_mtu::fr_is_credible(ctx.skb.skb, packet.l4, packet.v4.into()) != path_mtu::CREDIBLE {
        return Err(Drop::UnrelatedError);
    }
    deliver::on(Outcome::PathMtu)
}

/// VXLAN leaves the node if it made it, or if it is somebody else's, under another address. What NAT made of a pod's or a guest's
/// packet would speak for this node.
#[inline(always)]
pub fn leave_for_tunnel(ctx: &TcContext, packet: &Packet) -> Result<Passed, Drop> {
    let by = came_by(ctx);
    if by == 0 || mark::is_tunnelled(ctx) {
        path_mtu::remember(ctx, packet);
        return deliver::leave();
    }
    if endpoint::behind_link(by).is_some() || owner::known(&packet.source).is_own_node() {
        return Err(Drop::TunnelFromPod);
    }
    arrival::check(ctx, packet)?;
    deliver::leave()
}
