//! IPv6 of the link: neighbour discovery (RFC 4861) between a pod and its gateway, and nothing else. Links of another
//! plugin's are in [`crate::forward::chained`].

use aya_ebpf::{
    helpers::{bpf_csum_diff, bpf_skb_change_tail},
    programs::TcContext,
};
use ferrule_common::{
    Address, Drop, Outcome,
    link::Link,
    wire::{ethertype, protocol},
};

use super::discovery::{
    GATEWAY, NEIGHBOR_ADVERTISEMENT, NEIGHBOR_SOLICITATION, ON_LINK, REDIRECT, ROUTER_ADVERTISEMENT,
    ROUTER_SOLICITATION, is_own, target,
};
use crate::{
    forward::{chained, deliver, endpoint, redirect},
    observe::count::Passed,
    parse::{
        packet::{Packet, ifindex},
        scope,
    },
};

const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

const ALL_NODES: Address = Address::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

/// Whether a packet concerns the link only: by its addresses, or since it is neighbour discovery.
#[inline(always)]
pub fn is_of_link(ctx: &TcContext, packet: &Packet) -> Result<bool, Drop> {
    if packet.v4 {
        return Ok(false);
    }
    if scope::is_link_local_v6(&packet.source)
        || packet.source == Address::UNSPECIFIED
        || scope::is_link_local_v6(&packet.destination)
        || scope::is_multicast_v6(&packet.destination)
    {
        return Ok(true);
    }
    is_discovery(ctx, packet)
}

/// Whether this is neighbour discovery.
#[inline(always)]
pub fn is_discovery(ctx: &TcContext, packet: &Packet) -> Result<bool, Drop> {
    Ok(packet.protocol == protocol::ICMPV6
        && !packet.v4
        && !packet.later_fragment
        && matches!(packet.load::<u8>(ctx, 0)?, ROUTER_SOLICITATION..=REDIRECT))
}

/// Decides on such a packet from a pod.
#[inline(always)]
pub fn from_pod(ctx: &TcContext, packet: &Packet) -> Result<Passed, Drop> {
    let link = endpoint::by_link(ctx)?;
    let own_link_local = scope::is_link_local_v6(&packet.source) && packet.source != GATEWAY;
    if !own_link_local && packet.source != Address::UNSPECIFIED && !endpoint::owns(ctx, &packet.source) {
        return Err(Drop::SpoofedAddress);
    }
    if endpoint::is_chained_link(ctx, link) {
        return chained::of_link(ctx, packet, link.index);
    }
    let multicast = scope::is_multicast_v6(&packet.destination);
    let unserved = if multicast { Drop::Multicast } else { Drop::LinkLocal };
    // RFC 6980: neighbour discovery is neither fragmented nor behind extension headers that hide it.
    if packet.protocol != protocol::ICMPV6 || packet.extended {
        return Err(unserved);
    }
    match packet.load::<u8>(ctx, 0)? {
        NEIGHBOR_SOLICITATION => {
            let target = target(ctx, packet)?;
            if target == GATEWAY {
                answer(ctx, packet, link)
            } else if is_own(ctx, &target) {
                deliver::to_stack()
            } else {
                Err(Drop::NeighborTarget)
            }
        }
        NEIGHBOR_ADVERTISEMENT if is_own(ctx, &target(ctx, packet)?) => deliver::to_stack(),
        NEIGHBOR_ADVERTISEMENT => Err(Drop::SpoofedNeighbor),
        ROUTER_ADVERTISEMENT | REDIRECT => Err(Drop::RouterAdvertisement),
        // The node resolves whom it answers: one address for a link, or a pod could fill its neighbour table.
        ECHO_REQUEST | ECHO_REPLY
            if packet.destination == GATEWAY && (!own_link_local || packet.source == link.mac.link_local()) =>
        {
            deliver::to_stack()
        }
        _ => Err(unserved),
    }
}

/// Decides on such a packet from the node's stack to a pod: what keeps the neighbour tables true may pass.
#[inline(always)]
pub fn to_pod(ctx: &TcContext, packet: &Packet) -> Result<Passed, Drop> {
    let unserved = if scope::is_multicast_v6(&packet.destination) { Drop::Multicast } else { Drop::LinkLocal };
    if packet.protocol != protocol::ICMPV6 || packet.extended {
        return Err(unserved);
    }
    match packet.load::<u8>(ctx, 0)? {
        NEIGHBOR_SOLICITATION | NEIGHBOR_ADVERTISEMENT | ECHO_REQUEST | ECHO_REPLY => {
            Ok(Passed { outcome: Outcome::Pod, action: aya_ebpf::bindings::TC_ACT_UNSPEC })
        }
        _ => Err(unserved),
    }
}

/// A neighbour advertisement with its Ethernet and IPv6 headers and the target's link-layer address.
#[repr(C, packed(2))]
struct Advertisement {
    destination_mac: [u16; 3],
    source_mac: [u16; 3],
    ethertype_be: u16,
    version: [u8; 4],
    payload_length_be: u16,
    next_header: u8,
    hop_limit: u8,
    source: [u32; 4],
    destination: [u32; 4],
    icmp: Icmp,
}

#[repr(C, packed(2))]
#[derive(Clone, Copy)]
struct Icmp {
    kind: u8,
    code: u8,
    checksum: u16,
    flags: [u8; 4],
    target: [u32; 4],
    option: [u8; 2],
    mac: [u16; 3],
}

/// What the checksum covers (RFC 8200 section 8.1), laid out for `bpf_csum_diff`.
#[repr(C)]
struct Summed {
    source: [u32; 4],
    destination: [u32; 4],
    length: [u8; 4],
    next_header: [u8; 4],
    icmp: [u32; size_of::<Icmp>() / 4],
}

const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
const TARGET_LINK_LAYER: [u8; 2] = [2, 1];

/// Turns a solicitation for the gateway into its advertisement, back to the pod. Not inlined: what it builds would lie on
/// the stack of whoever calls the verdict's functions.
#[inline(never)]
fn answer(ctx: &TcContext, packet: &Packet, link: &Link) -> Result<Passed, Drop> {
    const LENGTH: usize = size_of::<Advertisement>();
    const ICMP: u8 = size_of::<Icmp>() as u8;
    // From `::` it is duplicate address detection, which everybody hears (RFC 4861 section 7.2.4).
    let probed = packet.source == Address::UNSPECIFIED;
    let destination = if probed { ALL_NODES } else { packet.source };
    let mut icmp = Icmp {
        kind: NEIGHBOR_ADVERTISEMENT,
        code: 0,
        checksum: 0,
        flags: [if probed { ROUTER | OVERRIDE } else { ROUTER | SOLICITED | OVERRIDE }, 0, 0, 0],
        target: GATEWAY.words(),
        option: TARGET_LINK_LAYER,
        mac: link.host_mac.halves(),
    };
    let mut summed = Summed {
        source: GATEWAY.words(),
        destination: destination.words(),
        length: [0, 0, 0, ICMP],
        next_header: [0, 0, 0, protocol::ICMPV6],
        // SAFETY: thirty-two bytes of integers without padding.
        icmp: unsafe { core::mem::transmute::<Icmp, [u32; size_of::<Icmp>() / 4]>(icmp) },
    };
    // SAFETY: `summed` outlives the call; its size is a multiple of four, as the helper asks.
    let sum =
        unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, (&raw mut summed).cast(), size_of::<Summed>() as u32, 0) };
    icmp.checksum = fold(sum);
    let reply = Advertisement {
        destination_mac: link.mac.halves(),
        source_mac: link.host_mac.halves(),
        ethertype_be: ethertype::IPV6.to_be(),
        version: [0x60, 0, 0, 0],
        payload_length_be: u16::from(ICMP).to_be(),
        next_header: protocol::ICMPV6,
        hop_limit: ON_LINK,
        source: GATEWAY.words(),
        destination: destination.words(),
        icmp,
    };
    // SAFETY: changes the packet's length only; pointers into it are not used afterwards.
    if ctx.len() as usize != LENGTH && unsafe { bpf_skb_change_tail(ctx.skb.skb, LENGTH as u32, 0) } != 0 {
        return Err(Drop::Malformed);
    }
    ctx.store(0, &reply, 0).map_err(|_| Drop::Malformed)?;
    redirect::into(ctx, ifindex(ctx), Outcome::Answered)
}

/// The Internet checksum of a 32-bit sum, in the byte order in which it was summed.
#[inline(always)]
const fn fold(sum: i64) -> u16 {
    let sum = (sum as u32 & 0xffff) + (sum as u32 >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}
