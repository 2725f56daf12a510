//! A decision where no flow stands: the flow's opener is judged, or the packet's sender, and the table of flows remembers it.

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_get_prandom_u32};
use ferrule_common::{
    flow::{self, DENIED_EGRESS, DENIED_INGRESS, Flow},
    peer,
};

use crate::{
    clock, conntrack, event,
    judge::{DENIED_BY_EGRESS, DENIED_BY_INGRESS, FORWARD, REASON, exempt, judge, opened_by},
    maps::PEERS,
    question::{BY_NODE, CARRIED, End, QUOTED, Question},
    recent,
    standing::{note, passes},
    transport::{ECHO_REPLY, ERROR, KIND, OPENS, RESETS},
    verdict::{NO_FLOW, PASSES, VIA_STACK},
};

/// Decides where no flow stands: on the flow's opener where there is a flow, else on the packet's sender. Gives the number
/// of a [`ferrule_common::Drop`], or [`PASSES`] with [`VIA_STACK`] and [`crate::verdict::ANSWERS`], or [`NO_FLOW`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_decide(skb: *mut __sk_buff) -> u32 {
    let Some(question) = Question::current() else { return DENIED_BY_INGRESS };
    let now = clock::now();
    let by_node = question.circumstances & BY_NODE != 0;
    if let Some(entry) = conntrack::find(&question.key) {
        // SAFETY: as in `stands`.
        let flow = unsafe { &mut *entry };
        let (lower, higher) = question.ends();
        let same_ends = flow.lower_endpoint == lower.endpoint && flow.higher_endpoint == higher.endpoint;
        let by_opener = question.is_by_opener(flow);
        let reopened = question.message & OPENS != 0 && !by_opener && !by_node;
        if same_ends && !reopened && !clock::is_expired(flow, question.key.protocol, now) {
            if by_node {
                // What the node makes passes; what answers it goes by what was decided of its opener.
                return passes(question, flow);
            }
            let denied = if flow.opened_by_higher != 0 {
                judge(question, higher, lower, opened_by(question, flow), flow.exempt.into())
            } else {
                judge(question, lower, higher, opened_by(question, flow), flow.exempt.into())
            };
            let reason = denied & REASON;
            flow.denied = match reason {
                DENIED_BY_EGRESS => DENIED_EGRESS,
                DENIED_BY_INGRESS => DENIED_INGRESS,
                _ => 0,
            };
            // Only what was allowed is recorded, under the words that allow it: of two CPUs that decide on it at once, while
            // words change, neither can leave a decision that nobody made. What is denied is judged at each packet.
            flow.lower_word = recorded(lower, reason);
            flow.higher_word = recorded(higher, reason);
            if question.circumstances & QUOTED == 0 {
                flow.seen = now;
                note(question, flow, by_opener, now);
            }
            return if reason == 0 { passes(question, flow) } else { reason };
        }
        if question.circumstances & QUOTED != 0 {
            return NO_FLOW;
        }
        if reopened && same_ends {
            // Judged first: who may not open it anew changes nothing.
            let reason = judge(question, &question.source, &question.destination, FORWARD, exempt(question)) & REASON;
            if reason != 0 {
                return reason;
            }
        }
        let charged = flow.charged;
        conntrack::remove(&question.key, charged);
        recent::forget();
    } else if question.circumstances & QUOTED != 0 {
        return NO_FLOW;
    }
    open(skb, question, now)
}

/// The word that an entry gets for one of its ends.
#[inline(always)]
const fn recorded(end: &End, reason: u32) -> u64 {
    if reason == 0 || end.word == 0 { end.word } else { flow::UNDECIDED }
}

/// Judges the packet's sender, and makes an entry for what may pass.
#[inline(always)]
fn open(skb: *mut __sk_buff, question: &mut Question, now: u32) -> u32 {
    let (source, destination) = (question.source, question.destination);
    let exempt = exempt(question);
    let judged = judge(question, &source, &destination, FORWARD, exempt);
    let by_node = question.circumstances & BY_NODE != 0;
    if judged & REASON != 0 {
        return judged & REASON;
    }
    let kind = question.message & KIND;
    // What answers nobody, and what ends what nobody began, opens nothing.
    if kind == ERROR || kind == ECHO_REPLY || question.message & RESETS != 0 {
        return PASSES;
    }
    let carried = question.circumstances & CARRIED != 0 && !by_node;
    let (lower, higher) = question.ends();
    let (lower, higher) = (*lower, *higher);
    question.draft = Flow {
        lower_word: lower.word,
        higher_word: higher.word,
        lower_endpoint: lower.endpoint,
        higher_endpoint: higher.endpoint,
        seen: now,
        // SAFETY: takes nothing and gives a number.
        stamp: unsafe { bpf_get_prandom_u32() },
        charged: if source.endpoint != 0 { source.endpoint } else { destination.endpoint },
        opened: now,
        opened_by_higher: u8::from(question.source_is_lower == 0),
        denied: 0,
        lower_tcp: 0,
        higher_tcp: 0,
        answered: 0,
        via_stack: carried.into(),
        remote_pod: is_remote_pod(question).into(),
        exempt: exempt as u8,
    };
    let full = conntrack::fr_insert();
    if full != conntrack::DONE && !by_node {
        return full;
    }
    event::fr_allowed(skb, judged >> 8);
    if carried { PASSES | VIA_STACK } else { PASSES }
}

/// Whether the end that is no pod of this node is a known pod.
#[inline(always)]
fn is_remote_pod(question: &Question) -> bool {
    let remote = if question.source.endpoint == 0 {
        &question.from
    } else if question.destination.endpoint == 0 {
        &question.to
    } else {
        return false;
    };
    // SAFETY: eight bytes, of which one field is read.
    unsafe { PEERS.get(remote) }.is_some_and(|peer| peer.kind == peer::POD)
}
