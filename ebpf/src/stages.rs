//! The packet's way through each hook, in the order of its steps.

use aya_ebpf::programs::TcContext;
use ferrule_common::{
    Address, Drop, Outcome, Program,
    settings::GATEWAY_V4,
    wire::ethertype::{ARP, QINQ, VLAN},
};

use crate::{
    arp,
    count::{Passed, finish},
    deliver::{self, Origin},
    endpoint,
    maps::VXLAN_PORT,
    nd, owner,
    packet::{Packet, ethertype, has_vlan, ifindex},
    scope, tunnel,
};

/// What a pod sends, seen on the host side of its veth.
#[inline(always)]
pub fn from_pod(ctx: &TcContext) -> i32 {
    finish(ctx, Program::FromPod, leave_pod(ctx))
}

#[inline(always)]
fn leave_pod(ctx: &TcContext) -> Result<Passed, Drop> {
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
    let via_stack = endpoint::is_via_stack(endpoint::sender(ctx, &packet)?);
    if let Some(pod) = endpoint::local(&packet.destination) {
        return if via_stack { deliver::to_stack() } else { deliver::to_pod(ctx, &packet, pod, Origin::Pod) };
    }
    let owner = owner::of(&packet.destination, packet.v4);
    if (owner.is_nobody() || owner.is_node()) && packet.may_be_udp_to(ctx, VXLAN_PORT.load()) {
        return Err(Drop::TunnelFromPod);
    }
    if owner.is_nobody() {
        return to_outside(&packet);
    }
    match owner.node() {
        Some(node) if !owner.is_self() && !via_stack => deliver::to_node(ctx, &packet, node),
        // This node itself, or an address of its pod CIDR that no pod has, which the stack answers.
        _ => deliver::to_stack(),
    }
}

/// To the outside, or to an address of the cluster that nobody owns, which the stack's routes call unreachable.
#[inline(always)]
fn to_outside(packet: &Packet) -> Result<Passed, Drop> {
    if packet.v4 && scope::is_multicast_v4(&packet.destination) {
        return Err(Drop::Multicast);
    }
    if packet.v4 && packet.destination.last4() == GATEWAY_V4 {
        return Err(Drop::LinkLocal);
    }
    deliver::to_stack()
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
    if endpoint::owns(ctx, &packet.destination) {
        return on(Outcome::Pod);
    }
    if nd::is_of_link(ctx, &packet)? { nd::to_pod(ctx, &packet) } else { Err(Drop::NotThisPod) }
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
    let node = owner::of(&packet.source, packet.v4).node().ok_or(Drop::WrongNode)?;
    // This node's own addresses are index 0, whose entry is empty and matches no outer source.
    if outer != node.internal_v4 && outer != node.internal_v6 {
        return Err(Drop::WrongNode);
    }
    if let Some(pod) = endpoint::local(&packet.destination) {
        return deliver::to_pod(ctx, &packet, pod, Origin::Device);
    }
    // This node, or an unused address of its pod CIDR, which the stack's routes call unreachable.
    if owner::of(&packet.destination, packet.v4).is_self() {
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
    if endpoint::local(&packet.source).is_some() || owner::of(&packet.source, packet.v4).is_self() {
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
    let packet = match Packet::parse(ctx) {
        Ok(Some(packet)) => packet,
        // The stack follows more headers than the programs do.
        Err(Drop::ExtensionHeaders) => return Err(Drop::ExtensionHeaders),
        // What does not parse is not a pod's; the stack judges it.
        _ => return deliver::leave(),
    };
    let pod = endpoint::local(&packet.destination);
    // The tunnel's own packets: `from_overlay` judges what is in them.
    if pod.is_none() && packet.is_udp_to(ctx, VXLAN_PORT.load()) {
        return deliver::leave();
    }
    if endpoint::local(&packet.source).is_some() {
        return Err(Drop::LocalSource);
    }
    let Some(pod) = pod else {
        let owner = owner::known(&packet.source);
        if owner.is_nobody() || owner.is_node() || owner.is_native() {
            return if packet.is_too_large_error(ctx) { on(Outcome::PathMtu) } else { deliver::leave() };
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
        return deliver::to_pod(ctx, &packet, pod, Origin::Device);
    }
    if owner.is_node() { deliver::leave() } else { Err(Drop::Unencapsulated) }
}

/// What leaves by the node's own device.
#[inline(always)]
pub fn to_netdev(ctx: &TcContext) -> i32 {
    finish(ctx, Program::ToNetdev, reach_netdev(ctx))
}

#[inline(always)]
fn reach_netdev(ctx: &TcContext) -> Result<Passed, Drop> {
    let Ok(Some(packet)) = Packet::parse(ctx) else { return deliver::leave() };
    if packet.is_udp_to(ctx, VXLAN_PORT.load()) {
        return deliver::leave();
    }
    let mut owner = owner::known(&packet.destination);
    if owner.is_nobody() {
        if !owner::in_cluster(&packet.destination, packet.v4) {
            return deliver::leave();
        }
        owner = owner::of_prefix(&packet.destination, packet.v4);
    }
    if owner.is_node() || owner.is_native() { deliver::leave() } else { Err(Drop::Unowned) }
}

#[inline(always)]
fn on(outcome: Outcome) -> Result<Passed, Drop> {
    Ok(Passed { outcome, action: aya_ebpf::bindings::TC_ACT_UNSPEC })
}
