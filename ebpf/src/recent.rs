//! What was decided of flows within the last second, each direction for itself and each CPU for itself: most packets belong to
//! one of them, and need neither the table of flows nor all that a decision rests on, which lie in many cache lines.
//!
//! An entry is what [`crate::verdict`] found in the table, and where `from_pod` led the packet. It holds as long as the words of
//! both ends do, as nothing was removed from the table but what is old, and for a second: then the table is asked again, and
//! notes that the flow lives.

use ferrule_common::{Address, flow::Removals, layout};

use crate::{
    clock, conntrack,
    maps::{JIFFIES, RECENT, REMOVALS, SOURCES},
    packet::Packet,
    transport::{PORTS, Transport},
    verdict::{self, ANSWERS, End, PASSES, Question, VIA_STACK},
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
    /// The protocol's number, the verdict's answer and the [`Target`].
    told: u32,
    source_word: u64,
    destination_word: u64,
    /// As in the table.
    seen: u32,
    removals: u32,
}

const _: () = assert!(size_of::<Recent>() == 64);

/// In [`Recent::told`]: the protocol's number; 0 in a place that nothing was put in.
const PROTOCOL: u32 = 0xff;
/// In [`Recent::told`]: how far down a verdict's answer was moved, and its bits there.
const ANSWER_SHIFT: u32 = 8;
const ANSWER: u32 = 0xf << ANSWER_SHIFT;
const _: () = assert!((PASSES | VIA_STACK | ANSWERS) >> ANSWER_SHIFT & !ANSWER == 0);
/// In [`Recent::told`]: how far up an index was moved.
const INDEX_SHIFT: u32 = 16;
const _: () = assert!(layout::SOURCES <= 1 << 16 && layout::NODES <= 1 << 16);

/// Where `from_pod` leads a flow.
#[derive(Clone, Copy)]
pub struct Target(pub u32);

const NEIGHBOUR: u32 = 1 << 12;
const NODE: u32 = 1 << 13;

impl Target {
    /// Wherever a look at all maps leads to.
    pub const UNKNOWN: Self = Self(0);

    /// A pod of this node, by its endpoint index.
    #[inline(always)]
    pub const fn neighbour(index: u32) -> Self {
        Self(NEIGHBOUR | index << INDEX_SHIFT)
    }

    /// Another node, by its index.
    #[inline(always)]
    pub const fn node(index: u32) -> Self {
        Self(NODE | index << INDEX_SHIFT)
    }

    #[inline(always)]
    pub const fn is_neighbour(self) -> bool {
        self.0 & NEIGHBOUR != 0
    }

    #[inline(always)]
    pub const fn is_node(self) -> bool {
        self.0 & NODE != 0
    }

    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0 >> INDEX_SHIFT
    }
}

/// Something was removed from the table that was not old.
#[inline(always)]
pub fn forget() {
    if let Some(removals) = REMOVALS.get_ptr_mut(0) {
        let removals: *mut Removals = removals;
        // SAFETY: an aligned word of an array, which is never freed while the program is loaded.
        unsafe { conntrack::add(&raw mut (*removals).count, 1) };
    }
}

/// Whether a packet may belong to a flow that is remembered: it neither opens nor ends one, and nothing has to be remembered of
/// it itself.
#[inline(always)]
pub const fn may_be(packet: &Packet, transport: Transport) -> bool {
    transport.message == PORTS && !packet.first_fragment
}

/// For [`fr_known`]: the receiver is the question's.
pub const ASKED: u32 = 0;
/// For [`fr_known`]: the receiver is whoever the last packet was led to.
pub const LED: u32 = 1;

/// What is remembered of the question's flow: [`Recent::told`], or 0 where there is nothing or what there is does not hold.
/// A function of its own, which the verifier reads once.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_known(ports: u32, protocol: u32, receiver: u32) -> u32 {
    let Some(question) = verdict::question() else { return 0 };
    // Before the table is asked, as that may be next.
    question.removals = REMOVALS.get(0).map_or(0, |removals| removals.count as u32);
    let Some(recent) = RECENT.get(slot(&question.from, &question.to, ports)) else { return 0 };
    let told = recent.told;
    let same = recent.ports == ports
        && told & PROTOCOL == protocol
        && recent.from == question.from
        && recent.to == question.to
        && recent.removals == question.removals
        && recent.source_word == question.source.word;
    if !same || clock::now().wrapping_sub(recent.seen) >= JIFFIES.load() {
        return 0;
    }
    let target = Target(told);
    let word = if receiver == LED && target.is_neighbour() {
        let Some(pod) = SOURCES.get(target.index()) else { return 0 };
        let own = if question.to.is_v4() { &pod.v4 } else { &pod.v6 };
        if *own != question.to || pod.flags != 0 {
            return 0;
        }
        End::local(target.index()).word
    } else {
        question.destination.word
    };
    if recent.destination_word == word { told } else { 0 }
}

/// The verdict's answer in what [`fr_known`] gave.
#[inline(always)]
pub const fn answer(told: u32) -> u32 {
    (told & ANSWER) << ANSWER_SHIFT
}

/// Remembers of the question's flow what was found in the table, when it was `seen`, and where the packet is about to be led.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_remember(ports: u32, protocol: u32, answer: u32, target: u32, seen: u32) -> u32 {
    let Some(question) = verdict::question() else { return 0 };
    let Some(recent) = RECENT.get_ptr_mut(slot(&question.from, &question.to, ports)) else { return 0 };
    // SAFETY: this CPU's own place, and a classifier is not interrupted by another run on the same CPU.
    let recent = unsafe { &mut *recent };
    (recent.from, recent.to, recent.ports) = (question.from, question.to, ports);
    recent.told = protocol | answer >> ANSWER_SHIFT & ANSWER | target;
    (recent.source_word, recent.destination_word) = (question.source.word, question.destination.word);
    (recent.seen, recent.removals) = (seen, question.removals);
    0
}

/// The packet says something of the question's flow that the next one in its direction may take back, which the table has to
/// see.
#[inline(always)]
pub fn part(question: &Question, ports: u32) {
    if let Some(recent) = RECENT.get_ptr_mut(slot(&question.from, &question.to, ports)) {
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
