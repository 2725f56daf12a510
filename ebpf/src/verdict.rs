//! Whether a packet may pass: by its flow while that stands, else by the policies of both ends.
//!
//! ```text
//! flow found, its ends' words unchanged ─────────────▶ as it was decided
//! flow found, a word changed ── its opener is judged ─▶ as decided now, and remembered
//! no flow ────── the packet's sender is judged ───────▶ a flow of its own
//! ```

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, flow, policy::Word};

use crate::{
    conntrack,
    decide::fr_decide,
    fragment,
    judge::{DENIED_BY_EGRESS, fr_judge},
    packet::Packet,
    question::{BY_NODE, End, Question, V4},
    recent, related,
    standing::{passes, stands},
    transport::{ERROR, RESETS, Transport},
};

/// How a packet that may pass goes on.
#[derive(Clone, Copy)]
pub struct Passage {
    /// Its flow goes through the host's stack.
    pub via_stack: bool,
    /// It goes back to its flow's opener, which was judged.
    pub answers: bool,
}

/// In [`fr_decide`]'s answer: it may pass.
pub const PASSES: u32 = 1 << 16;
/// In [`fr_decide`]'s answer: through the stack.
pub const VIA_STACK: u32 = 1 << 17;
/// In [`fr_decide`]'s answer: back to the flow's opener.
pub const ANSWERS: u32 = 1 << 19;
/// [`fr_decide`]'s answer where a quoted packet has no flow.
pub const NO_FLOW: u32 = 1 << 18;

/// Decides on a packet between two ends.
#[inline(always)]
pub fn between(
    ctx: &TcContext,
    packet: &Packet,
    source: End,
    destination: End,
    circumstances: u32,
    program: ferrule_common::Program,
) -> Result<Passage, Drop> {
    if source.is_unknown() || destination.is_unknown() {
        return Err(Drop::PolicyUnknown);
    }
    let question = Question::current().ok_or(Drop::Malformed)?;
    let transport = if packet.later_fragment {
        question.look(packet, source, destination);
        match fragment::recall(packet) {
            Some(transport) => transport,
            None if circumstances & BY_NODE != 0 || source.is_open() && destination.is_open() => {
                return Ok(Passage { via_stack: false, answers: false });
            }
            None => return Err(Drop::FragmentUnknown),
        }
    } else {
        Transport::parse(ctx, packet)?
    };
    let removals = recent::removals();
    let may_be_recent = recent::may_be(packet, transport);
    if may_be_recent && let Some(answer) = recent::recall(packet, transport, &source, &destination, removals) {
        return passage(answer);
    }
    let program = program as u32;
    let circumstances = circumstances | if packet.v4 { V4 } else { 0 };
    question.ask(packet, source, destination, transport.message, circumstances, program);
    if transport.message == ERROR {
        if circumstances & BY_NODE != 0 {
            return Ok(Passage { via_stack: false, answers: false });
        }
        let related = related::fr_related(ctx.skb.skb, packet.l4);
        if related == related::A_FLOW {
            let answer = fr_decide(ctx.skb.skb);
            if answer != NO_FLOW {
                return passage(answer);
            }
        }
        let by_pod = u32::from(source.endpoint != 0);
        if related::fr_unrelated(ctx.skb.skb, packet.l4, related, by_pod, packet.v4.into()) != 0 {
            return Err(Drop::UnrelatedError);
        }
        question.ask(packet, source, destination, ERROR, circumstances, program);
    }
    question.name(transport, packet.protocol);
    if transport.message & RESETS != 0 {
        recent::part(packet, transport);
    }
    let answer = match conntrack::find(&question.key) {
        Some(flow) if stands(question, flow) => {
            // SAFETY: as in `stands`.
            let flow = unsafe { &*flow };
            let answer = passes(question, flow);
            // The end that reset it lives on at its next packet, which the table has to see.
            if may_be_recent && (flow.lower_tcp | flow.higher_tcp) & flow::RST == 0 {
                let told = answer | u32::from(packet.protocol);
                recent::fr_remember(transport.ports(), told, flow.seen, removals);
            }
            answer
        }
        _ => fr_decide(ctx.skb.skb),
    };
    if packet.first_fragment && answer & PASSES != 0 {
        fragment::remember(packet, transport);
    }
    passage(answer)
}

/// Decides on a packet without its flow: its addresses are not of two ends alone (to many, or of the link), or the host's NAT
/// hid its sender, whom the flow does not name. Nothing is remembered of it.
#[inline(always)]
pub fn alone(
    ctx: &TcContext,
    packet: &Packet,
    source: End,
    destination: End,
    circumstances: u32,
    program: ferrule_common::Program,
) -> Result<(), Drop> {
    if source.is_unknown() || destination.is_unknown() {
        return Err(Drop::PolicyUnknown);
    }
    if Word(source.word).egress() == 0 && Word(destination.word).ingress() == 0 {
        return Ok(());
    }
    let question = Question::current().ok_or(Drop::Malformed)?;
    if packet.later_fragment {
        question.look(packet, source, destination);
        return fragment::recall(packet).map(drop).ok_or(Drop::FragmentUnknown);
    }
    let transport = Transport::parse(ctx, packet)?;
    let circumstances = circumstances | if packet.v4 { V4 } else { 0 };
    question.ask(packet, source, destination, transport.message, circumstances, program as u32);
    question.name(transport, packet.protocol);
    passage(fr_judge()).map(drop)
}

#[inline(always)]
fn passage(answer: u32) -> Result<Passage, Drop> {
    if answer & PASSES != 0 {
        return Ok(Passage { via_stack: answer & VIA_STACK != 0, answers: answer & ANSWERS != 0 });
    }
    Err(match answer {
        DENIED_BY_EGRESS => Drop::PolicyEgress,
        FULL => Drop::ConntrackFull,
        SHARE_FULL => Drop::ConntrackShare,
        _ => Drop::PolicyIngress,
    })
}

const FULL: u32 = Drop::ConntrackFull as u32;
const SHARE_FULL: u32 = Drop::ConntrackShare as u32;
