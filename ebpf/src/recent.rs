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
    question::{End, Question},
    transport::{PORTS, Transport},
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
    let recent = RECENT.get(slot(&packet.source, &packet.destination, transport.ports()))?;
    let known = recent.ports == transport.ports()
        && recent.told & !ANSWER == packet.protocol as u32
        && recent.from == packet.source
        && recent.to == packet.destination
        && recent.source_word == source.word
        && recent.destination_word == destination.word
        && recent.removals == removals
        && clock::now().wrapping_sub(recent.seen) < JIFFIES.load();
    if known { Some(recent.told & ANSWER) } else { None }
}

/// Remembers of the question's flow what was found in the table: the verdict's answer with the protocol, when the flow was
/// `seen`, and what `removals` was before the table was asked.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_remember(ports: u32, told: u32, seen: u32, removals: u32) -> u32 {
    let Some(question) = Question::current() else { return 0 };
    let Some(recent) = RECENT.get_ptr_mut(slot(&question.from, &question.to, ports)) else { return 0 };
    // SAFETY: this CPU's own place, and a classifier is not interrupted by another run on the same CPU.
    let recent = unsafe { &mut *recent };
    (recent.from, recent.to) = (question.from, question.to);
    (recent.ports, recent.told) = (ports, told);
    (recent.source_word, recent.destination_word) = (question.source.word, question.destination.word);
    (recent.seen, recent.removals) = (seen, removals);
    1
}

/// The packet says something of its flow that the next one in its direction may take back, which the table has to see.
#[inline(always)]
pub fn part(packet: &Packet, transport: Transport) {
    if let Some(recent) = RECENT.get_ptr_mut(slot(&packet.source, &packet.destination, transport.ports())) {
        // SAFETY: as in `fr_remember`.
        unsafe { (*recent).told = 0 };
    }
}

/// Whoever makes flows share a place makes them no worse than they were without.
#[inline(always)]
fn slot(from: &Address, to: &Address, ports: u32) -> u32 {
    let mixed = from.words()[3] ^ to.words()[3].rotate_left(11) ^ ports.rotate_left(5);
    mixed.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS)
}
