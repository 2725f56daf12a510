//! A decision where no flow stands: the flow's opener is judged, or the packet's sender, and the table of flows remembers it.

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_get_prandom_u32};
use ferrule_common::{
    flow::{self, DENIED_EGRESS, DENIED_INGRESS, EXEMPT_EGRESS, INCOMING, SYN_SENT, UNANSWERED},
    peer,
};

use crate::{
    clock, conntrack, event,
    judge::{DENIED_BY_EGRESS, DENIED_BY_INGRESS, FORWARD, REASON, exempt, judge, opened_by},
    maps::PEERS,
    question::{BY_NODE, CARRIED, End, HAIRPIN, QUOTED, Question},
    quota, recent,
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
        conntrack::remove(&question.key, flow);
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
    let exempt = exempt(question);
    let judged = judge(question, &question.source, &question.destination, FORWARD, exempt);
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
    draft(question, now, exempt as u8, by_node, carried);
    let full = conntrack::fr_insert();
    if full != conntrack::DONE && !needs_none(question, exempt, by_node, carried) {
        return full;
    }
    event::fr_allowed(skb, judged >> 8);
    if carried { PASSES | VIA_STACK } else { PASSES }
}

/// Drafts the flow's entry, in the question itself: it would not fit the stack.
#[inline(always)]
fn draft(question: &mut Question, now: u32, exempt: u8, by_node: bool, carried: bool) {
    let remote_pod = is_remote_pod(question);
    let by_node = by_node && question.circumstances & HAIRPIN == 0;
    let Question { source, destination, source_is_lower, message, draft, .. } = question;
    let by_lower = *source_is_lower != 0;
    let (lower, higher) = if by_lower { (&*source, &*destination) } else { (&*destination, &*source) };
    (draft.lower_word, draft.higher_word) = (lower.word, higher.word);
    (draft.lower_endpoint, draft.higher_endpoint) = (lower.endpoint, higher.endpoint);
    (draft.seen, draft.opened) = (now, now);
    // SAFETY: takes nothing and gives a number.
    draft.stamp = unsafe { bpf_get_prandom_u32() };
    // The node pays for what it opens: whoever fills a pod's share does not keep its own node's probes from it.
    draft.charged = if source.endpoint != 0 || by_node { source.endpoint } else { destination.endpoint };
    draft.counted = if source.endpoint == 0 && !by_node { INCOMING } else { 0 };
    draft.tenant = quota::tenant(draft.charged);
    draft.answered = if *message & OPENS != 0 { SYN_SENT } else { UNANSWERED };
    (draft.opened_by_higher, draft.denied) = (u8::from(!by_lower), 0);
    (draft.lower_tcp, draft.higher_tcp) = (0, 0);
    (draft.via_stack, draft.remote_pod, draft.exempt) = (carried.into(), remote_pod.into(), exempt);
}

/// Whether a flow may go on without an entry: its own node's, a pod's to its own node, and one that nothing isolates, unless its
/// answers have to find the host's NAT again.
#[inline(always)]
const fn needs_none(question: &Question, exempt: u32, by_node: bool, carried: bool) -> bool {
    let open = question.source.is_open() && question.destination.is_open() && !carried;
    by_node || open || exempt & EXEMPT_EGRESS as u32 != 0
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
