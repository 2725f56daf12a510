//! A flow's entry as it stands: whether a packet may go by it, and what the packet means for it.

use ferrule_common::flow::{self, CONFIRMED, Flow, SYN_RECEIVED, SYN_SENT, UNANSWERED};

use crate::{
    conntrack::age,
    context::{PacketContext, QUOTED},
    maps::JIFFIES,
    parse::message::{ENDS, OPENS, RESETS},
    policy::answer::Answer,
};

/// Whether the decision on a flow stands; then the packet has been written into the entry.
#[inline(always)]
pub fn is_valid(context: &PacketContext, entry: *mut Flow) -> bool {
    // SAFETY: a value of the map: this program may read and write it while it runs. Others write single fields of it
    // at the same time, each of which is seen as before or as after.
    let flow = unsafe { &mut *entry };
    let (lower, higher) = context.ends();
    if flow.lower_word != lower.word || flow.higher_word != higher.word || flow.denied != 0 {
        return false;
    }
    let by_originator = context.is_by_originator(flow);
    if context.message & OPENS != 0 && !by_originator {
        return false;
    }
    if context.flags & QUOTED != 0 {
        return true;
    }
    let now = age::now();
    let age = now.wrapping_sub(flow.seen);
    if age >= JIFFIES.load() {
        if age > age::timeout(flow, context.key.protocol) {
            return false;
        }
        flow.seen = now;
    }
    note(context, flow, by_originator, now);
    true
}

/// Writes what a packet means for its flow.
#[inline(always)]
pub fn note(context: &PacketContext, flow: &mut Flow, by_originator: bool, now: u32) {
    let message = context.message;
    if flow.answered != CONFIRMED && message & RESETS == 0 {
        flow.answered = answered(flow.answered, by_originator, message);
    }
    if message & (ENDS | RESETS | OPENS) == 0 && (flow.lower_tcp | flow.higher_tcp) & flow::RST == 0 {
        return;
    }
    if message & OPENS != 0 {
        if flow.lower_tcp | flow.higher_tcp != 0 {
            // The same ports again.
            (flow.lower_tcp, flow.higher_tcp, flow.answered, flow.opened) = (0, 0, SYN_SENT, now);
        } else if flow.answered != CONFIRMED {
            // The originator is still at it.
            flow.opened = now;
        }
        return;
    }
    let own = if context.source_is_lower != 0 { &mut flow.lower_tcp } else { &mut flow.higher_tcp };
    if message & ENDS != 0 {
        *own |= flow::FIN;
        flow.seen = now;
    }
    if message & RESETS != 0 {
        *own |= flow::RST;
        flow.seen = now;
    } else {
        // An end that goes on has not reset it.
        *own &= !flow::RST;
    }
}

/// How far a flow that is not confirmed has got with a packet.
#[inline(always)]
const fn answered(before: u8, by_originator: bool, message: u32) -> u8 {
    match (before, by_originator) {
        (UNANSWERED, false) => CONFIRMED,
        (SYN_SENT, false) => SYN_RECEIVED,
        (SYN_RECEIVED, true) if message & OPENS == 0 => CONFIRMED,
        _ => before,
    }
}

/// The answer where a packet of `flow` may pass.
#[inline(always)]
pub fn passes(context: &PacketContext, flow: &Flow) -> Answer {
    Answer::pass(flow.via_stack != 0, !context.is_by_originator(flow))
}
