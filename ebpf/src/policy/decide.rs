//! A decision where no flow stands: the flow's originator is judged, or the packet's sender, and the table of flows remembers it.

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_get_prandom_u32};
use ferrule_common::{
    flow::{self, DENIED_EGRESS, DENIED_INGRESS, EXEMPT_EGRESS, INCOMING, SYN_SENT, UNANSWERED},
    peer,
};

use crate::{
    conntrack::{age, cache, quota, table},
    context::{BY_NODE, CARRIED, End, HAIRPIN, PacketContext, QUOTED},
    maps::PEERS,
    observe::event,
    parse::message::{ECHO_REPLY, ERROR, KIND, OPENS, RESETS},
    policy::{
        answer::{Answer, DENIED_BY_EGRESS, DENIED_BY_INGRESS},
        evaluate::{FORWARD, evaluate, exempt, opened_by},
        valid::{note, passes},
    },
};

/// Decides where no flow stands: on the flow's originator where there is a flow, else on the packet's sender. Gives the number
/// of a [`ferrule_common::Drop`], or [`PASSES`] with [`VIA_STACK`] and [`crate::policy::tables::verdict::ANSWERS`], or [`NO_FLOW`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_decide(skb: *mut __sk_buff) -> u32 {
    let Some(context) = PacketContext::current() else { return Answer::denied(DENIED_BY_INGRESS).word() };
    let now = age::now();
    let by_node = context.flags & BY_NODE != 0;
    if let Some(entry) = table::find(&context.key) {
        // SAFETY: as in `is_valid`.
        let flow = unsafe { &mut *entry };
        let (lower, higher) = context.ends();
        let same_ends = flow.lower_endpoint == lower.endpoint && flow.higher_endpoint == higher.endpoint;
        let by_originator = context.is_by_originator(flow);
        let reopened = context.message & OPENS != 0 && !by_originator && !by_node;
        if same_ends && !reopened && !age::is_expired(flow, context.key.protocol, now) {
            if by_node {
                // What the node makes passes; what answers it goes by what was decided of its originator.
                return passes(context, flow).word();
            }
            let evaluated = if flow.opened_by_higher != 0 {
                evaluate(context, higher, lower, opened_by(context, flow), flow.exempt.into())
            } else {
                evaluate(context, lower, higher, opened_by(context, flow), flow.exempt.into())
            };
            let reason = evaluated.reason();
            flow.denied = match reason {
                DENIED_BY_EGRESS => DENIED_EGRESS,
                DENIED_BY_INGRESS => DENIED_INGRESS,
                _ => 0,
            };
            // Only what was allowed is recorded, under the words that allow it: of two CPUs that decide on it at once, while
            // words change, neither can leave a decision that nobody made. What is denied is judged at each packet.
            flow.lower_word = recorded(lower, reason);
            flow.higher_word = recorded(higher, reason);
            if context.flags & QUOTED == 0 {
                flow.seen = now;
                note(context, flow, by_originator, now);
            }
            return if reason == 0 { passes(context, flow) } else { Answer::denied(reason) }.word();
        }
        if context.flags & QUOTED != 0 {
            return Answer::NO_FLOW.word();
        }
        if reopened && same_ends {
            // Judged first: who may not open it anew changes nothing.
            let reason = evaluate(context, &context.source, &context.destination, FORWARD, exempt(context)).reason();
            if reason != 0 {
                return Answer::denied(reason).word();
            }
        }
        table::remove(&context.key, flow);
        cache::invalidate_all();
    } else if context.flags & QUOTED != 0 {
        return Answer::NO_FLOW.word();
    }
    open(skb, context, now)
}

/// The word that an entry gets for one of its ends.
#[inline(always)]
const fn recorded(end: &End, reason: u32) -> u64 {
    if reason == 0 || end.word == 0 { end.word } else { flow::UNDECIDED }
}

/// Judges the packet's sender, and makes an entry for what may pass.
#[inline(always)]
fn open(skb: *mut __sk_buff, context: &mut PacketContext, now: u32) -> u32 {
    let exempt = exempt(context);
    let evaluated = evaluate(context, &context.source, &context.destination, FORWARD, exempt);
    let by_node = context.flags & BY_NODE != 0;
    if evaluated.reason() != 0 {
        return Answer::denied(evaluated.reason()).word();
    }
    let kind = context.message & KIND;
    // What answers nobody, and what ends what nobody began, opens nothing.
    if kind == ERROR || kind == ECHO_REPLY || context.message & RESETS != 0 {
        return Answer::PASS.word();
    }
    let carried = context.flags & CARRIED != 0 && !by_node;
    draft(context, now, exempt as u8, by_node, carried);
    let full = table::fr_insert();
    if full != quota::DONE && !needs_none(context, exempt, by_node, carried) {
        return Answer::denied(full).word();
    }
    event::fr_allowed(skb, evaluated.rule());
    Answer::pass(carried, false).word()
}

/// Drafts the flow's entry, in the context itself: it would not fit the stack.
#[inline(always)]
fn draft(context: &mut PacketContext, now: u32, exempt: u8, by_node: bool, carried: bool) {
    let remote_pod = is_remote_pod(context);
    let by_node = by_node && context.flags & HAIRPIN == 0;
    let PacketContext { source, destination, source_is_lower, message, draft, .. } = context;
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
const fn needs_none(context: &PacketContext, exempt: u32, by_node: bool, carried: bool) -> bool {
    let open = context.source.is_open() && context.destination.is_open() && !carried;
    by_node || open || exempt & EXEMPT_EGRESS as u32 != 0
}

/// Whether the end that is no pod of this node is a known pod.
#[inline(always)]
fn is_remote_pod(context: &PacketContext) -> bool {
    let remote = if context.source.endpoint == 0 {
        &context.from
    } else if context.destination.endpoint == 0 {
        &context.to
    } else {
        return false;
    };
    // SAFETY: eight bytes, of which one field is read.
    unsafe { PEERS.get(remote) }.is_some_and(|peer| peer.kind == peer::POD)
}
