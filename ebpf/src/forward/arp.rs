//! ARP from a pod: the gateway is answered here, so that a flushed neighbour table heals without a device that has its
//! address. A pod's answers about itself go to the node's stack, which asks when its own entry is gone. On another plugin's
//! link a pod asks whom it likes and is answered by whom that plugin lets answer; it speaks for itself only.

use aya_ebpf::programs::TcContext;
use ferrule_common::{
    Drop, Outcome,
    link::Link,
    settings::GATEWAY_V4,
    wire::{ARP_IPV4_ETHERNET, Arp, ETHERNET, Ethernet, ethertype},
};

use crate::{
    forward::{deliver, endpoint, redirect},
    observe::count::Passed,
    parse::packet::{header, ifindex, pull, v4},
};

const REQUEST: u16 = 1;
const REPLY: u16 = 2;
/// As it lies in an ARP packet.
const GATEWAY: [u16; 2] = [half(0), half(2)];

const fn half(at: usize) -> u16 {
    u16::from_ne_bytes([GATEWAY_V4[at], GATEWAY_V4[at + 1]])
}

/// Decides on an ARP packet from a pod.
#[inline(always)]
pub fn from_pod(ctx: &TcContext) -> Result<Passed, Drop> {
    pull(ctx, (ETHERNET + size_of::<Arp>()) as u32);
    let link = endpoint::by_link(ctx)?;
    let arp = header::<Arp>(ctx, ETHERNET).ok_or(Drop::Malformed)?;
    // SAFETY: `header` checked the bounds; the type is packed and made of integers.
    let arp = unsafe { *arp };
    if arp.kind != ARP_IPV4_ETHERNET {
        return Err(Drop::Malformed);
    }
    if arp.sender_mac != link.mac.halves() {
        return Err(Drop::SpoofedMac);
    }
    let own = endpoint::owns(ctx, &v4(arp.sender));
    let operation = u16::from_be(arp.operation_be);
    if endpoint::is_chained_link(ctx, link) {
        return match operation {
            REQUEST if own || arp.sender == [0; 2] => deliver::to_stack(),
            REPLY if own => deliver::to_stack(),
            _ => Err(Drop::SpoofedNeighbor),
        };
    }
    match operation {
        // A probe (RFC 5227) has no sender address yet.
        REQUEST if !own && arp.sender != [0; 2] => Err(Drop::SpoofedNeighbor),
        REQUEST if arp.target == GATEWAY => {
            answer(ctx, link, &arp)?;
            redirect::into(ctx, ifindex(ctx), Outcome::Answered)
        }
        // An announcement of its own address.
        REQUEST if arp.target == arp.sender => deliver::to_stack(),
        REQUEST => Err(Drop::NeighborTarget),
        REPLY if own => deliver::to_stack(),
        _ => Err(Drop::SpoofedNeighbor),
    }
}

#[repr(C, packed(2))]
struct Answer {
    ethernet: Ethernet,
    arp: Arp,
}

/// Turns the request into the gateway's reply.
#[inline(always)]
fn answer(ctx: &TcContext, link: &Link, request: &Arp) -> Result<(), Drop> {
    let (pod, gateway) = (link.mac.halves(), link.host_mac.halves());
    let answer = Answer {
        ethernet: Ethernet { destination: pod, source: gateway, ethertype_be: ethertype::ARP.to_be() },
        arp: Arp {
            kind: ARP_IPV4_ETHERNET,
            operation_be: REPLY.to_be(),
            sender_mac: gateway,
            sender: GATEWAY,
            target_mac: pod,
            target: request.sender,
        },
    };
    ctx.store(0, &answer, 0).map_err(|_| Drop::Malformed)
}
