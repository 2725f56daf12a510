//! Pods' links: what a pod sends, and what the node's stack delivers to it.

use aya_ebpf::programs::TcContext;
use ferrule_common::{
    Drop, Outcome, Program,
    settings::GATEWAY_V4,
    wire::ethertype::{ARP, QINQ, VLAN},
};

use super::carried;
use crate::{
    context,
    context::End,
    forward::{arp, arrival, chained, deliver, deliver::Origin, endpoint, mark, nd, owner},
    maps::{OWN_NODE_POLICED, VXLAN_PORT},
    observe::count::{Passed, finish},
    parse::{
        packet::{Packet, came_by, ethertype, has_vlan, ifindex},
        scope,
    },
    policy::{verdict, verdict::Way},
    service::choose,
};

/// What a pod sends, seen on the host side of its veth.
#[inline(always)]
pub fn from_pod(ctx: &TcContext) -> i32 {
    finish(ctx, Program::FromPod, leave_pod(ctx))
}

#[inline(always)]
fn leave_pod(ctx: &TcContext) -> Result<Passed, Drop> {
    mark::clear_tunnelled(ctx);
    if has_vlan(ctx) {
        return Err(Drop::Vlan);
    }
    let Some(packet) = Packet::parse(ctx)? else {
        return match ethertype(ctx) {
            ARP => arp::from_pod(ctx),
            VLAN | QINQ => Err(Drop::Vlan),
            _ => Err(Drop::Ethertype),
        };
    };
    if nd::is_of_link(ctx, &packet)? {
        return nd::from_pod(ctx, &packet);
    }
    let sender = endpoint::sender(ctx, &packet)?;
    let shaped = endpoint::is_via_stack(sender.flags);
    let source = End::local(sender.index);
    if let Some(pod) = endpoint::local(&packet.destination) {
        // A pod reaches itself.
        if pod.index == sender.index {
            return deliver::to_pod(ctx, &packet, pod, Origin::Pod);
        }
        let passage = verdict::between(
            ctx,
            &packet,
            Way { source, destination: End::local(pod.index), flags: 0, program: Program::FromPod },
        )?;
        let via_stack = shaped || passage.via_stack;
        return if via_stack { deliver::to_stack() } else { deliver::to_pod(ctx, &packet, pod, Origin::Pod) };
    }
    let foreign = endpoint::is_chained(sender.flags);
    if foreign && chained::is_of_many(ctx, &packet)? {
        return chained::from_pod(ctx, &packet, sender.index);
    }
    if scope::is_of_host(&packet.destination, packet.v4) {
        return Err(Drop::Loopback);
    }
    let owner = owner::of(&packet.destination, packet.v4);
    if (owner.is_nobody() || owner.is_node()) && packet.may_be_udp_to(ctx, VXLAN_PORT.load()) {
        return Err(Drop::TunnelFromPod);
    }
    if owner.is_nobody() && !foreign {
        is_for_one(&packet)?;
    }
    let service = owner.is_nobody() && choose::is_address(&packet.destination);
    if service && !choose::is_for_stack() {
        return Err(Drop::Service);
    }
    // Its own node, or what the host's NAT translates: judged by what becomes of it.
    let open = service || owner.is_self() && owner.is_node();
    let flags = if open && OWN_NODE_POLICED.load() == 0 { context::OWN_NODE } else { 0 };
    let passage =
        verdict::between(ctx, &packet, Way { source, destination: End::REMOTE, flags, program: Program::FromPod })?;
    match owner.node() {
        Some(node) if !owner.is_self() && !shaped && !passage.via_stack => deliver::to_node(ctx, &packet, node),
        _ => {
            if open && !passage.is_reply {
                // Whatever the host's NAT makes of it is judged by the ends that it then has.
                mark::set_open(ctx);
            }
            mark::set_left_to_stack(ctx);
            // This node itself, or nobody's address, which the stack answers or its routes call unreachable.
            deliver::to_stack()
        }
    }
}

/// Whether an address outside of the cluster may be of one host.
#[inline(always)]
fn is_for_one(packet: &Packet) -> Result<(), Drop> {
    if packet.v4 && scope::is_multicast_v4(&packet.destination) {
        return Err(Drop::Multicast);
    }
    if packet.v4 && packet.destination.last4() == GATEWAY_V4 {
        return Err(Drop::LinkLocal);
    }
    Ok(())
}

/// What the node's stack delivers to a pod.
#[inline(always)]
pub fn to_pod(ctx: &TcContext) -> i32 {
    finish(ctx, Program::ToPod, reach_pod(ctx))
}

#[inline(always)]
fn reach_pod(ctx: &TcContext) -> Result<Passed, Drop> {
    let Some(packet) = Packet::parse(ctx)? else {
        // The stack asks for the pod's MAC where its own entry is gone.
        return if ethertype(ctx) == ARP { deliver::on(Outcome::Pod) } else { Err(Drop::Ethertype) };
    };
    if let Some(own) = endpoint::local(&packet.destination)
        && own.ifindex == ifindex(ctx)
    {
        if nd::is_discovery(ctx, &packet)? {
            return deliver::on(Outcome::Pod);
        }
        arrival::check(ctx, &packet)?;
        return reach_own(ctx, &packet, own.index);
    }
    if let Some(link) = endpoint::behind(ctx)
        && endpoint::is_chained_link(ctx, link)
    {
        return chained::to_pod(ctx, &packet, link.index);
    }
    if nd::is_of_link(ctx, &packet)? { nd::to_pod(ctx, &packet) } else { Err(Drop::NotThisPod) }
}

/// A pod is reached by its own node, and by whoever its policies let the stack deliver from.
#[inline(always)]
fn reach_own(ctx: &TcContext, packet: &Packet, index: u32) -> Result<Passed, Drop> {
    let own = End::local(index);
    let by = came_by(ctx);
    // What comes back to the link that it came by is the pod's own, whatever address the host's NAT gave it.
    let flags = if by == 0 {
        context::BY_NODE
    } else if by == ifindex(ctx) {
        context::BY_NODE | context::HAIRPIN
    } else {
        context::CARRIED
    };
    let source = match endpoint::local(&packet.source) {
        // By way of the host's NAT.
        Some(pod) if pod.index == index => return deliver::on(Outcome::Pod),
        Some(pod) => End::local(pod.index),
        None => {
            // Its answer will not name the pod: the flow stays one of the node's address.
            if let Some(sender) = carried::unjudged(ctx, packet) {
                verdict::alone(
                    ctx,
                    packet,
                    Way { source: sender, destination: End::REMOTE, flags: 0, program: Program::ToPod },
                )?;
            }
            End::REMOTE
        }
    };
    verdict::between(ctx, packet, Way { source, destination: own, flags, program: Program::ToPod })?;
    deliver::on(Outcome::Pod)
}
