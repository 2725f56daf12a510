//! What was decided of flows within the last second, each direction for itself and each CPU for itself: most packets belong to
//! one of them, and need neither the table of flows nor all that a decision rests on, which lie in many cache lines.
//!
//! An entry is what [`crate::verdict`] found in the table. It holds as long as the words of both ends do, as nothing was removed
//! from the table but what is old, and for a second: then the table is asked again, and notes that the flow lives.

use ferrule_common::{Address, flow::Removals};

use crate::{
    clock,
    maps::{JIFFIES, RECENT, REMOVALS},
    packet::Packet,
    transport::{PORTS, Transport},
    verdict::End,
};

/// Flows that a CPU remembers are at most two to this.
pub const BITS: u32 = 10;

/// One direction of a flow with ports: a cache line.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Recent {
    from: Address,
    to: Address,
    ports: u32,
    /// The protocol's number below [`ANSWER`], and above it the verdict's answer.
    told: u32,
    source_word: u64,
    destination_word: u64,
    /// As in the table.
    seen: u32,
    removals: u32,
}

const _: () = assert!(size_of::<Recent>() == 64);

/// Bits of a verdict's answer.
const ANSWER: u32 = !0xffff;

/// How often something was removed from the table that was not old, before it is asked.
#[inline(always)]
pub fn removals() -> u32 {
    REMOVALS.get(0).map_or(0, |removals| removals.count as u32)
}

/// Something was removed from the table that was not old.
#[inline(always)]
pub fn forget() {
    if let Some(removals) = REMOVALS.get_ptr_mut(0) {
        let removals: *mut Removals = removals;
        // SAFETY: an aligned word of an array, which is never freed while the program is loaded.
        unsafe { crate::conntrack::add(&raw mut (*removals).count, 1) };
    }
}

/// Whether a packet may belong to a flow that is remembered: it neither opens nor ends one, and nothing has to be remembered of
/// it itself.
#[inline(always)]
pub const fn may_be(packet: &Packet, transport: Transport) -> bool {
    transport.message == PORTS && !packet.first_fragment
}

/// What was decided of the packet's flow.
#[inline(always)]
pub fn recall(packet: &Packet, transport: Transport, source: &End, destination: &End, removals: u32) -> Option<u32> {
    let recent = RECENT.get(slot(packet, transport))?;
    let known = recent.ports == ports(transport)
        && recent.told & !ANSWER == packet.protocol as u32
        && recent.from == packet.source
        && recent.to == packet.destination
        && recent.source_word == source.word
        && recent.destination_word == destination.word
        && recent.removals == removals
        && clock::now().wrapping_sub(recent.seen) < JIFFIES.load();
    if known { Some(recent.told & ANSWER) } else { None }
}

/// Remembers what was found in the table.
#[inline(always)]
pub fn remember(
    packet: &Packet,
    transport: Transport,
    source: &End,
    destination: &End,
    removals: u32,
    (answer, seen): (u32, u32),
) {
    let Some(recent) = RECENT.get_ptr_mut(slot(packet, transport)) else { return };
    // SAFETY: this CPU's own slot, and a classifier is not interrupted by another run on the same CPU.
    let recent = unsafe { &mut *recent };
    (recent.from, recent.to) = (packet.source, packet.destination);
    (recent.ports, recent.told) = (ports(transport), answer | packet.protocol as u32);
    (recent.source_word, recent.destination_word) = (source.word, destination.word);
    (recent.seen, recent.removals) = (seen, removals);
}

/// The packet says something of its flow that the next one in its direction may take back, which the table has to see.
#[inline(always)]
pub fn part(packet: &Packet, transport: Transport) {
    if let Some(recent) = RECENT.get_ptr_mut(slot(packet, transport)) {
        // SAFETY: as in `remember`.
        unsafe { (*recent).told = 0 };
    }
}

#[inline(always)]
const fn ports(transport: Transport) -> u32 {
    transport.source_port_be as u32 | (transport.destination_port_be as u32) << 16
}

/// Whoever makes flows share a slot makes them no worse than they were without.
#[inline(always)]
fn slot(packet: &Packet, transport: Transport) -> u32 {
    let (from, to) = (packet.source.words(), packet.destination.words());
    let mixed = from[3] ^ to[3].rotate_left(11) ^ ports(transport).rotate_left(5);
    mixed.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS)
}
