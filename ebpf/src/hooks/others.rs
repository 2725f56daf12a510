//! Devices of the node that lead to none of the cluster's nodes: a second network card, a bridge of guests, a tunnel of somebody
//! else's. Nothing is delivered here; what came by them has nobody's address, and what leaves by them was judged.

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, Program, policy::Word};

use crate::{
    context::End,
    forward::{arrival, deliver, endpoint, mark, owner},
    hooks::{
        carried::close,
        device::{leave_for_tunnel, reach_stack},
    },
    maps::VXLAN_PORT,
    observe::count::{Passed, finish},
    parse::packet::{Packet, came_by, ifindex, is_bare_udp_to, is_of_vlan},
};

/// What arrives on another device.
#[inline(always)]
pub fn from_other(ctx: &TcContext) -> i32 {
    finish(ctx, Program::FromOther, leave_other(ctx))
}

#[inline(always)]
fn leave_other(ctx: &TcContext) -> Result<Passed, Drop> {
    mark::clear_tunnelled(ctx);
    // The VLAN's own device judges it.
    if is_of_vlan(ctx) {
        return deliver::leave();
    }
    let Ok(Some(packet)) = Packet::parse(ctx) else { return deliver::leave() };
    if let Some(pod) = endpoint::local(&packet.source) {
        // Pods behind another plugin's bridge come by that.
        return if endpoint::is_chained(pod.flags) { deliver::leave() } else { Err(Drop::LocalSource) };
    }
    let owner = owner::of(&packet.source, packet.v4);
    if owner.is_own_node() {
        return Err(Drop::LocalSource);
    }
    // An address of this node's pod CIDRs that no pod has may be of a pod that a former plugin connected.
    let may_be = owner.is_nobody() || owner.is_node() || owner.is_self();
    if !may_be && owner.node().is_none_or(|node| node.ifindex != ifindex(ctx)) {
        return Err(Drop::WrongDevice);
    }
    reach_stack(ctx, &packet)
}

/// What leaves by another device.
#[inline(always)]
pub fn to_other(ctx: &TcContext) -> i32 {
    finish(ctx, Program::ToOther, reach_other(ctx))
}

#[inline(always)]
fn reach_other(ctx: &TcContext) -> Result<Passed, Drop> {
    let Ok(Some(packet)) = Packet::parse(ctx) else { return deliver::leave() };
    close(ctx, &packet, Program::ToOther)?;
    if packet.may_be_udp_to(ctx, VXLAN_PORT.load()) {
        return leave_for_tunnel(ctx, &packet);
    }
    arrival::check(ctx, &packet)?;
    deliver::leave()
}

/// What leaves by a device without Ethernet headers, which no program here parses.
#[inline(always)]
pub fn to_bare(ctx: &TcContext) -> i32 {
    finish(ctx, Program::ToBare, reach_bare(ctx))
}

/// Of a pod whose egress is not judged yet, nothing passes that its policies may forbid; and none speaks VXLAN.
#[inline(always)]
fn reach_bare(ctx: &TcContext) -> Result<Passed, Drop> {
    let open = mark::take_open(ctx);
    let Some(link) = endpoint::behind_link(came_by(ctx)) else { return deliver::leave() };
    if !mark::is_tunnelled(ctx) && is_bare_udp_to(ctx, VXLAN_PORT.load()) {
        return Err(Drop::TunnelFromPod);
    }
    if open {
        let sender = End::local(link.index);
        if sender.is_unknown() {
            return Err(Drop::PolicyUnknown);
        }
        if Word(sender.word).egress() != 0 {
            return Err(Drop::PolicyEgress);
        }
    }
    deliver::leave()
}
