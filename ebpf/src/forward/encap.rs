//! A pod's packet into the tunnel, without the overlay device: outer headers in front of it, and out by the node's own device.

use aya_ebpf::{
    bindings::{
        BPF_ADJ_ROOM_ENCAP_L2_SHIFT, BPF_F_ADJ_ROOM_ENCAP_L2_ETH, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4,
        BPF_F_ADJ_ROOM_ENCAP_L4_UDP, BPF_F_ADJ_ROOM_FIXED_GSO, BPF_F_ADJ_ROOM_NO_CSUM_RESET,
        bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    helpers::{bpf_get_hash_recalc, bpf_skb_adjust_room},
    programs::TcContext,
};
use ferrule_common::{
    Address, Drop, Outcome,
    peer::Node,
    vxlan::{self, Headers},
    wire::{self, ETHERNET, Ethernet, Ipv4, Ipv6, checksum_after_ttl},
};

use crate::{
    forward::{mark, path_mtu, redirect},
    maps::VXLAN_PORT,
    observe::count::Passed,
    parse::packet::{Packet, header},
};

/// The room is made between the Ethernet header and the packet. Segments keep their size, since pods' MTU leaves room for the
/// headers, and the kernel is told where the inner headers are, so that it or the device can cut them.
const ROOM: u64 = (BPF_F_ADJ_ROOM_FIXED_GSO
    | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4
    | BPF_F_ADJ_ROOM_ENCAP_L4_UDP
    | BPF_F_ADJ_ROOM_ENCAP_L2_ETH
    | BPF_F_ADJ_ROOM_NO_CSUM_RESET) as u64
    | (ETHERNET as u64) << BPF_ADJ_ROOM_ENCAP_L2_SHIFT;

/// The outer headers and the inner one up to what a hop changes: written in one go.
#[repr(C, packed(2))]
struct Written<const HALVES: usize> {
    outer: Headers,
    inner: [u16; HALVES],
}

/// An IPv4 header up to its checksum.
const V4: usize = 6;
/// An IPv6 header up to its hop limit.
const V6: usize = 4;

/// To a node that a program reaches. `None`, and nothing is changed, where the kernel refuses: it has such a packet cut by some
/// other way, or it lies in a tunnel already.
#[inline(always)]
pub fn to_node(ctx: &TcContext, packet: &Packet, node: &Node) -> Result<Option<Passed>, Drop> {
    let port = encapsulate(ctx, node, packet.v4, packet.hop_limit - 1);
    if port == REFUSED {
        return Ok(None);
    }
    if port == BROKEN {
        return Err(Drop::Redirect);
    }
    mark::set_encapsulated(ctx);
    path_mtu::remember_of(ctx, &node.tunnel, (port as u16).to_be());
    redirect::by_next_hop(ctx, node.gateway(), node.uplink, Outcome::Overlay).map(Some)
}

/// [`encapsulate`]: the packet is what it was.
const REFUSED: u32 = 0;
/// [`encapsulate`]: the packet is nothing that anybody takes.
const BROKEN: u32 = 1;

/// Puts the outer headers in front of a packet, which has `hop_limit` left then: the outer source port, or one of the words above.
/// Not inlined, so that what it writes is not on the stack while policies are asked.
#[inline(never)]
fn encapsulate(ctx: &TcContext, node: &Node, v4: bool, hop_limit: u8) -> u32 {
    let length = ctx.len() - ETHERNET as u32;
    if length + vxlan::LENGTH as u32 > vxlan::LARGEST {
        return REFUSED;
    }
    // SAFETY: the context pointer is valid while the program runs.
    let port = vxlan::source_port(unsafe { bpf_get_hash_recalc(ctx.skb.skb) });
    let Some(ethernet) = header::<Ethernet>(ctx, 0) else { return REFUSED };
    // SAFETY: `header` checked the bounds; the type is packed and made of integers.
    let ethernet = unsafe { *ethernet };
    let outer = |ecn| {
        let (addresses, ports) = ([halves(node.source()), halves(&node.tunnel)], [port, VXLAN_PORT.load()]);
        Headers::new(length, ecn, addresses, ports, ethernet)
    };
    let written = if v4 {
        let Some(ip) = header::<Ipv4>(ctx, ETHERNET) else { return REFUSED };
        // SAFETY: as above.
        let Ipv4 { version_ihl, tos, total_length_be, id_be, fragment_be, protocol, checksum_be, .. } = unsafe { *ip };
        let inner = [
            u16::from_ne_bytes([version_ihl, tos]),
            total_length_be,
            id_be,
            fragment_be,
            u16::from_ne_bytes([hop_limit, protocol]),
            checksum_after_ttl(checksum_be),
        ];
        write::<V4>(ctx, &Written { outer: outer(tos), inner })
    } else {
        let Some(ip) = header::<Ipv6>(ctx, ETHERNET) else { return REFUSED };
        // SAFETY: as above.
        let Ipv6 { version_class_label: [first, second, third, last], payload_length_be, next_header, .. } =
            unsafe { *ip };
        let inner = [
            u16::from_ne_bytes([first, second]),
            u16::from_ne_bytes([third, last]),
            payload_length_be,
            u16::from_ne_bytes([next_header, hop_limit]),
        ];
        write::<V6>(ctx, &Written { outer: outer(second >> 4), inner })
    };
    match written {
        Ok(true) => port.into(),
        Ok(false) => REFUSED,
        Err(_) => BROKEN,
    }
}

/// Makes room and fills it; false where the kernel makes none.
#[inline(always)]
fn write<const HALVES: usize>(ctx: &TcContext, written: &Written<HALVES>) -> Result<bool, Drop> {
    // SAFETY: takes integers beside the context pointer, which is valid while the program runs.
    let room = unsafe { bpf_skb_adjust_room(ctx.skb.skb, vxlan::LENGTH as i32, BPF_ADJ_ROOM_MAC, ROOM) };
    if room != 0 {
        return Ok(false);
    }
    // Nothing else can be done with a packet that has room and no headers.
    ctx.store(ETHERNET, written, 0).map(|()| true).map_err(|_| Drop::Redirect)
}

/// An IPv4 address as headers have it.
#[inline(always)]
const fn halves(address: &Address) -> [u16; 2] {
    let [first, second, third, last] = address.words()[3].to_ne_bytes();
    [u16::from_ne_bytes([first, second]), u16::from_ne_bytes([third, last])]
}

const _: () = assert!(V4 * 2 < wire::IPV4 && V6 * 2 < wire::IPV6);
