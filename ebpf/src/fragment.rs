//! Fragments after the first have no ports: the first one's are remembered for them.

use aya_ebpf::bindings::BPF_ANY;
use ferrule_common::flow::{Fragment, FragmentKey};

use crate::{
    maps::FRAGMENTS,
    packet::Packet,
    transport::{KIND, Transport},
};

/// What the first fragment of a later one said.
#[inline(always)]
pub fn recall(packet: &Packet) -> Option<Transport> {
    // SAFETY: eight bytes; an entry that is being replaced belongs to another datagram of the same sender.
    let first = unsafe { FRAGMENTS.get(key(packet)) }?;
    Some(Transport {
        source_port_be: first.source_port_be,
        destination_port_be: first.destination_port_be,
        message: first.message,
    })
}

/// Remembers a first fragment that may pass.
#[inline(always)]
pub fn remember(packet: &Packet, transport: Transport) {
    let first = Fragment {
        source_port_be: transport.source_port_be,
        destination_port_be: transport.destination_port_be,
        message: transport.message & KIND,
    };
    // Where it fails, later fragments are dropped with a reason of their own.
    let _ = FRAGMENTS.insert(key(packet), first, BPF_ANY.into());
}

#[inline(always)]
const fn key(packet: &Packet) -> FragmentKey {
    FragmentKey {
        source: packet.source,
        destination: packet.destination,
        id: packet.fragment_id,
        protocol: packet.protocol as u32,
    }
}
