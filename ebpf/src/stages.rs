//! The packet's way through each hook, in the order of its steps.

use aya_ebpf::programs::TcContext;
use ferrule_common::{
    Address, Drop, Outcome, Program,
    endpoint::Endpoint,
    peer,
    settings::GATEWAY_V4,
    wire::ethertype::{ARP, QINQ, VLAN},
};

use crate::{
    arp, arrival,
    count::{Passed, finish},
    decap,
    deliver::{self, Origin},
    endpoint, foreign,
    maps::{OWN_NODE_POLICED, VXLAN_PORT},
    mark, nd, owner,
    packet::{Packet, came_by, ethertype, has_vlan, ifindex, is_of_vlan},
    path_mtu,
    question::{self, End},
    scope, service, tunnel, verdict,
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
        let passage = verdict::between(ctx, &packet, source, End::local(pod.index), 0, Program::FromPod)?;
        let via_stack = shaped || passage.via_stack;
        return if via_stack { deliver::to_stack() } else { deliver::to_pod(ctx, &packet, pod, Origin::Pod) };
    }
    let foreign = endpoint::is_foreign(sender.flags);
    if foreign && foreign::is_of_many(ctx, &packet)? {
        return foreign::from_pod(ctx, &packet, sender.index);
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
    let service = owner.is_nobody() && service::is_address(&packet.destination);
    if service && !service::is_for_stack() {
        return Err(Drop::Service);
    }
    // Its own node, or what the host's NAT translates: judged by what becomes of it.
    let open = service || owner.is_self() && owner.is_node();
    let circumstances = if open && OWN_NODE_POLICED.load() == 0 { question::OWN_NODE } else { 0 };
    let passage = verdict::between(ctx, &packet, source, End::REMOTE, circumstances, Program::FromPod)?;
    match owner.node() {
        Some(node) if !owner.is_self() && !shaped && !passage.via_stack => deliver::to_node(ctx, &packet, node),
        _ => {
            if open && !passage.answers {
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
        return if ethertype(ctx) == ARP { on(Outcome::Pod) } else { Err(Drop::Ethertype) };
    };
    if let Some(own) = endpoint::local(&packet.destination)
        && own.ifindex == ifindex(ctx)
    {
        if nd::is_discovery(ctx, &packet)? {
            return on(Outcome::Pod);
        }
        arrival::check(ctx, &packet)?;
        return reach_own(ctx, &packet, own.index);
    }
    if let Some(link) = endpoint::behind(ctx)
        && endpoint::is_foreign_link(ctx, link)
    {
        return foreign::to_pod(ctx, &packet, link.index);
    }
    if nd::is_of_link(ctx, &packet)? { nd::to_pod(ctx, &packet) } else { Err(Drop::NotThisPod) }
}

/// A pod is reached by its own node, and by whoever its policies let the stack deliver from.
#[inline(always)]
fn reach_own(ctx: &TcContext, packet: &Packet, index: u32) -> Result<Passed, Drop> {
    let own = End::local(index);
    let by = came_by(ctx);
    // What comes back to the link that it came by is the pod's own, whatever address the host's NAT gave it.
    let circumstances = if by == 0 {
        question::BY_NODE
    } else if by == ifindex(ctx) {
        question::BY_NODE | question::HAIRPIN
    } else {
        question::CARRIED
    };
    let source = match endpoint::local(&packet.source) {
        // By way of the host's NAT.
        Some(pod) if pod.index == index => return on(Outcome::Pod),
        Some(pod) => End::local(pod.index),
        None => {
            // Its answer will not name the pod: the flow stays one of the node's address.
            if let Some(sender) = unjudged(ctx, packet) {
                verdict::alone(ctx, packet, sender, End::REMOTE, 0, Program::ToPod)?;
            }
            End::REMOTE
        }
    };
    verdict::between(ctx, packet, source, own, circumstances, Program::ToPod)?;
    on(Outcome::Pod)
}

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
        return reach_from_device(ctx, &packet, pod, Program::FromOverlay);
    }
    // This node, or an unused address of its pod CIDR, which the stack's routes call unreachable.
    if owner::of(&packet.destination, packet.v4).is_self() {
        // A compromised node's pods speak of the ways to others no more than anybody.
        reach_stack(ctx, &packet)?;
        return deliver::adopted_by_stack(ctx);
    }
    Err(Drop::NotHere)
}

/// A pod is reached by another node's pod or by another node.
#[inline(always)]
fn reach_from_device(ctx: &TcContext, packet: &Packet, pod: &Endpoint, program: Program) -> Result<Passed, Drop> {
    let passage = verdict::between(ctx, packet, End::REMOTE, End::local(pod.index), 0, program)?;
    if passage.via_stack {
        return deliver::adopted_by_stack(ctx);
    }
    deliver::to_pod(ctx, packet, pod, Origin::Device)
}

/// The pod that sent a packet whose egress is not judged yet, whatever address the host's NAT gave it since. The mark alone
/// says nothing: other software may use its bit.
#[inline(always)]
fn unjudged(ctx: &TcContext, packet: &Packet) -> Option<End> {
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
fn translated(ctx: &TcContext, packet: &Packet) -> Option<End> {
    if !mark::is_left_to_stack(ctx) {
        return None;
    }
    endpoint::local(&packet.source).map(|pod| End::local(pod.index))
}

/// Judges what left a pod for its own node and got other ends from the host's NAT since.
#[inline(always)]
pub(crate) fn close(ctx: &TcContext, packet: &Packet, program: Program) -> Result<(), Drop> {
    if let Some(sender) = unjudged(ctx, packet) {
        verdict::between(ctx, packet, sender, End::REMOTE, question::CARRIED, program)?;
    }
    Ok(())
}

/// What is about to be encapsulated: pods' packets from `from_pod`, and the node's own from its stack.
#[inline(always)]
pub fn to_overlay(ctx: &TcContext) -> i32 {
    finish(ctx, Program::ToOverlay, reach_overlay(ctx))
}

#[inline(always)]
fn reach_overlay(ctx: &TcContext) -> Result<Passed, Drop> {
    let packet = Packet::parse(ctx)?.ok_or(Drop::Ethertype)?;
    if let Some(sender) = unjudged(ctx, &packet).or_else(|| translated(ctx, &packet)) {
        verdict::between(ctx, &packet, sender, End::REMOTE, question::CARRIED, Program::ToOverlay)?;
    }
    let by = came_by(ctx);
    let own = match endpoint::local(&packet.source) {
        Some(pod) if pod.ifindex == by => true,
        Some(_) => arrival::check(ctx, &packet).map(|()| true)?,
        None => owner::of(&packet.source, packet.v4).is_self(),
    };
    if own {
        mark::set_tunnelled(ctx);
        return on(Outcome::Overlay);
    }
    let multicast = scope::is_multicast_v6(&packet.destination) && !packet.v4;
    // Else the receiver would drop it: the source's node is not this one.
    Err(if multicast { Drop::Multicast } else { Drop::ForeignSource })
}

/// What arrives on the node's own device.
#[inline(always)]
pub fn from_netdev(ctx: &TcContext) -> i32 {
    finish(ctx, Program::FromNetdev, leave_netdev(ctx))
}

#[inline(always)]
fn leave_netdev(ctx: &TcContext) -> Result<Passed, Drop> {
    mark::clear_tunnelled(ctx);
    // The VLAN's own device judges it.
    if is_of_vlan(ctx) {
        return deliver::leave();
    }
    let mut packet = match Packet::parse(ctx) {
        Ok(Some(packet)) => packet,
        // The stack follows more headers than the programs do.
        Err(Drop::ExtensionHeaders) => return Err(Drop::ExtensionHeaders),
        // What does not parse is not a pod's; the stack judges it.
        _ => return deliver::leave(),
    };
    if packet.is_udp_to(ctx, VXLAN_PORT.load()) {
        // The tunnel's own packets: for a pod, or to this node, and then `from_overlay` judges what is in them.
        if let Some(pod) = decap::enter(ctx, &mut packet) {
            return decap::to_pod(ctx, &packet, pod);
        }
        if owner::known(&packet.destination).is_own_node() {
            return deliver::leave();
        }
    }
    if endpoint::local(&packet.source).is_some() {
        return Err(Drop::LocalSource);
    }
    let Some(pod) = endpoint::local(&packet.destination) else {
        // A host on the link may take this node for a router, or for a Service's port.
        let owner = owner::of(&packet.source, packet.v4);
        if owner.is_self() {
            // IPv6: the stack itself sees to that of IPv4.
            return Err(Drop::LocalSource);
        }
        if owner.is_nobody() || owner.is_node() || owner.is_native() {
            return reach_stack(ctx, &packet);
        }
        return Err(Drop::Unencapsulated);
    };
    let owner = owner::of(&packet.source, packet.v4);
    if owner.is_nobody() {
        return deliver::leave();
    }
    if owner.is_self() {
        return Err(Drop::LocalSource);
    }
    if owner.is_native() {
        // As strict as a reverse path filter: from where the answer would go.
        if owner.node().is_none_or(|node| node.ifindex != ifindex(ctx)) {
            return Err(Drop::WrongNode);
        }
        return reach_from_device(ctx, &packet, pod, Program::FromNetdev);
    }
    if owner.is_node() { deliver::leave() } else { Err(Drop::Unencapsulated) }
}

/// What is not for a pod, which the host's stack judges; but not whom to believe about the ways between nodes.
#[inline(always)]
pub(crate) fn reach_stack(ctx: &TcContext, packet: &Packet) -> Result<Passed, Drop> {
    if !packet.is_too_large_error(ctx) {
        return deliver::leave();
    }
    if path_mtu::fr_is_credible(ctx.skb.skb, packet.l4, packet.v4.into()) != path_mtu::CREDIBLE {
        return Err(Drop::UnrelatedError);
    }
    on(Outcome::PathMtu)
}

/// What leaves by the node's own device.
#[inline(always)]
pub fn to_netdev(ctx: &TcContext) -> i32 {
    finish(ctx, Program::ToNetdev, reach_netdev(ctx))
}

#[inline(always)]
fn reach_netdev(ctx: &TcContext) -> Result<Passed, Drop> {
    if mark::is_encapsulated(ctx) {
        return deliver::leave();
    }
    let Ok(Some(packet)) = Packet::parse(ctx) else { return deliver::leave() };
    close(ctx, &packet, Program::ToNetdev)?;
    if packet.may_be_udp_to(ctx, VXLAN_PORT.load()) {
        return leave_for_tunnel(ctx, &packet);
    }
    arrival::check(ctx, &packet)?;
    let mut owner = owner::known(&packet.destination);
    if owner.is_nobody() {
        if service::is_address(&packet.destination) {
            return Err(Drop::Service);
        }
        if !owner::in_cluster(&packet.destination, packet.v4) {
            return deliver::leave();
        }
        owner = owner::of_prefix(&packet.destination, packet.v4);
    }
    if !owner.is_node() && !owner.is_native() {
        return Err(Drop::Unowned);
    }
    if let Some(sender) = translated(ctx, &packet) {
        verdict::between(ctx, &packet, sender, End::REMOTE, question::CARRIED, Program::ToNetdev)?;
        // The stack knows no way through the tunnel to a node's own address.
        if let Some(node) = owner.node()
            && node.forwarding == peer::VXLAN
        {
            return deliver::to_node(ctx, &packet, node);
        }
    }
    deliver::leave()
}

/// VXLAN leaves the node if it made it, or if it is somebody else's, under another address. What NAT made of a pod's or a guest's
/// packet would speak for this node.
#[inline(always)]
pub(crate) fn leave_for_tunnel(ctx: &TcContext, packet: &Packet) -> Result<Passed, Drop> {
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

#[inline(always)]
fn on(outcome: Outcome) -> Result<Passed, Drop> {
    Ok(Passed { outcome, action: aya_ebpf::bindings::TC_ACT_UNSPEC })
}
