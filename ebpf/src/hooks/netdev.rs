//! The node's own devices.

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, Program, peer};

use super::{carried, device};
use crate::{
    context,
    context::End,
    forward::{arrival, decap, deliver, endpoint, mark, owner},
    maps::VXLAN_PORT,
    observe::count::{Passed, finish},
    parse::packet::{Packet, ifindex, is_of_vlan},
    policy::{verdict, verdict::Way},
    service::choose,
};

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
            return device::reach_stack(ctx, &packet);
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
        return device::reach_from_device(ctx, &packet, pod, Program::FromNetdev);
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
    if mark::is_encapsulated(ctx) {
        return deliver::leave();
    }
    let Ok(Some(packet)) = Packet::parse(ctx) else { return deliver::leave() };
    carried::close(ctx, &packet, Program::ToNetdev)?;
    if packet.may_be_udp_to(ctx, VXLAN_PORT.load()) {
        return device::leave_for_tunnel(ctx, &packet);
    }
    arrival::check(ctx, &packet)?;
    let mut owner = owner::known(&packet.destination);
    if owner.is_nobody() {
        if choose::is_address(&packet.destination) {
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
    if let Some(sender) = carried::translated(ctx, &packet) {
        verdict::between(
            ctx,
            &packet,
            Way { source: sender, destination: End::REMOTE, flags: context::CARRIED, program: Program::ToNetdev },
        )?;
        // The stack knows no way through the tunnel to a node's own address.
        if let Some(node) = owner.node()
            && node.forwarding == peer::VXLAN
        {
            return deliver::to_node(ctx, &packet, node);
        }
    }
    deliver::leave()
}
