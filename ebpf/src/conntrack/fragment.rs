//! Fragments after the first have no ports: the first one's are remembered for them. Cold, and so in functions of their own,
//! about the context's packet.

use aya_ebpf::bindings::BPF_ANY;
use ferrule_common::flow::{Fragment, FragmentKey};

use crate::{
    context::PacketContext,
    maps::FRAGMENTS,
    parse::{
        message::{KIND, MALFORMED, Transport},
        packet::Packet,
    },
};

/// What the first fragment of the context's packet, a later one, said.
#[inline(always)]
pub fn recall(packet: &Packet) -> Option<Transport> {
    Transport::from_told(fr_recall(packet.fragment_id, packet.protocol.into()))
}

/// Remembers the context's packet, a first fragment that may pass.
#[inline(always)]
pub fn remember(packet: &Packet, transport: Transport) {
    fr_first(packet.fragment_id, packet.protocol.into(), transport.told());
}

/// See [`recall`]: as `fr_transport`.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_recall(id: u32, protocol: u32) -> u64 {
    let Some(context) = PacketContext::current() else { return MALFORMED };
    // SAFETY: eight bytes; an entry that is being replaced belongs to another datagram of the same sender.
    let Some(first) = (unsafe { FRAGMENTS.get(key(context, id, protocol)) }) else { return MALFORMED };
    let Fragment { source_port_be, destination_port_be, message } = *first;
    Transport { source_port_be, destination_port_be, message }.told()
}

/// See [`remember`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_first(id: u32, protocol: u32, told: u64) -> u32 {
    let Some(context) = PacketContext::current() else { return 0 };
    let Some(transport) = Transport::from_told(told) else { return 0 };
    let first = Fragment {
        source_port_be: transport.source_port_be,
        destination_port_be: transport.destination_port_be,
        message: transport.message & KIND,
    };
    // Where it fails, later fragments are dropped with a reason of their own.
    FRAGMENTS.insert(key(context, id, protocol), first, BPF_ANY.into()).is_ok().into()
}

#[inline(always)]
const fn key(context: &PacketContext, id: u32, protocol: u32) -> FragmentKey {
    FragmentKey { source: context.from, destination: context.to, id, protocol }
}
