//! What was decided of flows within the last second, each direction for itself and each CPU for itself: most packets belong to
//! one of them, and need neither the table of flows nor all that a decision rests on, which lie in many cache lines.
//!
//! An entry is what [`crate::policy::tables::verdict`] found in the table. It holds as long as the words of both ends do, as nothing was removed
//! from the table but what is old, and for a second: then the table is asked again, and notes that the flow lives.

use ferrule_common::{Address, flow::Removals};

use crate::{
    conntrack::{age, cached::BITS},
    context::{End, PacketContext},
    maps::{FLOW_CACHE, JIFFIES, REMOVALS},
    parse::{
        message::{PORTS, Transport},
        packet::Packet,
    },
    policy::answer::Answer,
};

/// How often something was removed from the table that was not old, before it is asked.
#[inline(always)]
pub fn removals() -> u32 {
    REMOVALS.get(0).map_or(0, |removals| removals.count as u32)
}

/// Something was removed from the table that was not old.
#[inline(always)]
pub fn invalidate_all() {
    if let Some(removals) = REMOVALS.get_ptr_mut(0) {
        let removals: *mut Removals = removals;
        // SAFETY: an aligned word of an array, which is never freed while the program is loaded.
        unsafe { crate::atomic::add(&raw mut (*removals).count, 1) };
    }
}

/// Whether a packet may belong to a flow that is remembered: it neither opens nor ends one, and nothing has to be remembered of
/// it itself.
#[inline(always)]
pub const fn holds(packet: &Packet, transport: Transport) -> bool {
    transport.message == PORTS && !packet.first_fragment
}

/// What was decided of the packet's flow.
#[inline(always)]
pub fn find(packet: &Packet, transport: Transport, source: &End, destination: &End, removals: u32) -> Option<Answer> {
    let cached = FLOW_CACHE.get(slot(&packet.source, &packet.destination, transport.ports()))?;
    let known = cached.ports == transport.ports()
        && cached.from == packet.source
        && cached.to == packet.destination
        && cached.source_word == source.word
        && cached.destination_word == destination.word
        && cached.removals == removals
        && age::now().wrapping_sub(cached.seen) < JIFFIES.load();
    if known { Answer::of_protocol(cached.told, packet.protocol) } else { None }
}

/// Remembers of the context's flow what was found in the table: the verdict's answer with the protocol, when the flow was
/// `seen`, and what `removals` was before the table was asked.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_cache(ports: u32, told: u32, seen: u32, removals: u32) -> u32 {
    let Some(context) = PacketContext::current() else { return 0 };
    let Some(cached) = FLOW_CACHE.get_ptr_mut(slot(&context.from, &context.to, ports)) else { return 0 };
    // SAFETY: this CPU's own place, and a classifier is not interrupted by another run on the same CPU.
    let cached = unsafe { &mut *cached };
    (cached.from, cached.to) = (context.from, context.to);
    (cached.ports, cached.told) = (ports, told);
    (cached.source_word, cached.destination_word) = (context.source.word, context.destination.word);
    (cached.seen, cached.removals) = (seen, removals);
    1
}

/// The packet says something of its flow that the next one in its direction may take back, which the table has to see.
#[inline(always)]
pub fn invalidate(packet: &Packet, transport: Transport) {
    if let Some(cached) = FLOW_CACHE.get_ptr_mut(slot(&packet.source, &packet.destination, transport.ports())) {
        // SAFETY: as in `fr_cache`.
        unsafe { (*cached).told = 0 };
    }
}

/// Whoever makes flows share a place makes them no worse than they were without.
#[inline(always)]
fn slot(from: &Address, to: &Address, ports: u32) -> u32 {
    let mixed = from.words()[3] ^ to.words()[3].rotate_left(11) ^ ports.rotate_left(5);
    mixed.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS)
}
