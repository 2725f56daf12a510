//! Whether a packet may pass: by its flow while that stands, else by the policies of both ends.
//!
//! ```text
//! in this CPU's flow cache ───────────────────────────────────────▶ as it was decided
//! flow found, its ends' states unchanged (valid.rs) ──────────────▶ as it was decided
//! flow found, a state changed ── its originator is evaluated ─────▶ as decided now, and remembered   (decide.rs)
//! no flow ────────────────────── the packet's sender is evaluated ▶ a flow of its own                (decide.rs)
//! ```
//! An evaluation (evaluate.rs) asks the sender's egress table and the receiver's ingress table (tables.rs). What comes of it is an
//! [`Answer`].

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, Program, flow, policy::Word};

use crate::{
    conntrack::{cache, fragment, table},
    context::{BY_NODE, End, PacketContext, V4},
    parse::{
        message::{ERROR, RESETS, Transport},
        packet::Packet,
    },
    policy::{
        answer::{Answer, Passage},
        decide::fr_decide,
        evaluate::fr_evaluate,
        related,
        valid::{is_valid, passes},
    },
};

/// A packet's way, as its hook knows it.
#[derive(Clone, Copy)]
pub struct Way {
    /// Who sends it.
    pub source: End,
    /// Whom it is for.
    pub destination: End,
    /// [`BY_NODE`], [`crate::context::OWN_NODE`], [`crate::context::CARRIED`], [`crate::context::HAIRPIN`].
    pub flags: u32,
    /// The hook's program.
    pub program: Program,
}

/// Decides on a packet between two ends.
#[inline(always)]
pub fn between(ctx: &TcContext, packet: &Packet, way: Way) -> Result<Passage, Drop> {
    let Way { source, destination, flags, program } = way;
    if source.is_unknown() || destination.is_unknown() {
        return Err(Drop::PolicyUnknown);
    }
    let context = PacketContext::current().ok_or(Drop::Malformed)?;
    let transport = if packet.later_fragment {
        context.look(packet, source, destination);
        match fragment::recall(packet) {
            Some(transport) => transport,
            None if flags & BY_NODE != 0 || source.is_open() && destination.is_open() => {
                return Ok(Passage { via_stack: false, is_reply: false });
            }
            None => return Err(Drop::FragmentUnknown),
        }
    } else {
        Transport::parse(ctx, packet)?
    };
    let removals = cache::removals();
    let is_cacheable = cache::holds(packet, transport);
    if is_cacheable && let Some(answer) = cache::find(packet, transport, &source, &destination, removals) {
        return answer.passage();
    }
    let program = program as u32;
    let flags = flags | if packet.v4 { V4 } else { 0 };
    context.ask(packet, source, destination, transport.message, flags, program);
    if transport.message == ERROR {
        if flags & BY_NODE != 0 {
            return Ok(Passage { via_stack: false, is_reply: false });
        }
        let related = related::fr_related(ctx.skb.skb, packet.l4);
        if related == related::A_FLOW {
            let answer = Answer::of(fr_decide(ctx.skb.skb));
            if answer != Answer::NO_FLOW {
                return answer.passage();
            }
        }
        let by_pod = u32::from(source.endpoint != 0);
        if related::fr_unrelated(ctx.skb.skb, packet.l4, related, by_pod, packet.v4.into()) != 0 {
            return Err(Drop::UnrelatedError);
        }
        context.ask(packet, source, destination, ERROR, flags, program);
    }
    context.name(transport, packet.protocol);
    if transport.message & RESETS != 0 {
        cache::invalidate(packet, transport);
    }
    let answer = match table::find(&context.key) {
        Some(flow) if is_valid(context, flow) => {
            // SAFETY: as in `is_valid`.
            let flow = unsafe { &*flow };
            let answer = passes(context, flow);
            // The end that reset it lives on at its next packet, which the table has to see.
            if is_cacheable && (flow.lower_tcp | flow.higher_tcp) & flow::RST == 0 {
                cache::fr_cache(transport.ports(), answer.beside(packet.protocol), flow.seen, removals);
            }
            answer
        }
        _ => Answer::of(fr_decide(ctx.skb.skb)),
    };
    if packet.first_fragment && answer.passes() {
        fragment::remember(packet, transport);
    }
    answer.passage()
}

/// Decides on a packet without its flow: its addresses are not of two ends alone (to many, or of the link), or the host's NAT
/// hid its sender, whom the flow does not name. Nothing is remembered of it.
#[inline(always)]
pub fn alone(ctx: &TcContext, packet: &Packet, way: Way) -> Result<(), Drop> {
    let Way { source, destination, flags, program } = way;
    if source.is_unknown() || destination.is_unknown() {
        return Err(Drop::PolicyUnknown);
    }
    if Word(source.word).egress() == 0 && Word(destination.word).ingress() == 0 {
        return Ok(());
    }
    let context = PacketContext::current().ok_or(Drop::Malformed)?;
    if packet.later_fragment {
        context.look(packet, source, destination);
        return fragment::recall(packet).map(drop).ok_or(Drop::FragmentUnknown);
    }
    let transport = Transport::parse(ctx, packet)?;
    let flags = flags | if packet.v4 { V4 } else { 0 };
    context.ask(packet, source, destination, transport.message, flags, program as u32);
    context.name(transport, packet.protocol);
    Answer::of(fr_evaluate()).passage().map(drop)
}
