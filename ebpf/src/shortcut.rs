//! The way of a pod's packet whose flow is remembered: to where the last one was led, without a look at who has its address.

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, peer};

use crate::{
    count::Passed,
    deliver,
    endpoint::Sender,
    maps::{NODES, SOURCES},
    packet::Packet,
    recent::{self, Target},
    transport::Transport,
    verdict::{self, End, VIA_STACK},
};

/// None where its flow is not remembered, or what is remembered is not so any more.
#[inline(always)]
pub fn of(ctx: &TcContext, packet: &Packet, sender: &Sender, source: End) -> Option<Result<Passed, Drop>> {
    // What another plugin or a queueing discipline delivers has flags.
    if sender.flags != 0 || packet.later_fragment || packet.first_fragment {
        return None;
    }
    let transport = Transport::of_ports(ctx, packet)?;
    verdict::question()?.look(packet, source, End::REMOTE);
    let told = recent::fr_known(transport.ports(), packet.protocol.into(), recent::LED);
    if recent::answer(told) & VIA_STACK != 0 {
        return None;
    }
    let target = Target(told);
    if target.is_neighbour() {
        return Some(deliver::to_neighbour(ctx, packet, SOURCES.get(target.index())?));
    }
    if target.is_node() {
        let node = NODES.get(target.index()).filter(|node| node.forwarding != peer::NONE)?;
        return Some(deliver::to_node(ctx, packet, node));
    }
    None
}
