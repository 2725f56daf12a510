//! What the policies of both ends say of a packet.

use ferrule_common::{
    Drop,
    flow::{EXEMPT_EGRESS, EXEMPT_INGRESS, Flow},
    policy::Word,
    wire::protocol,
};

use crate::{
    policy::{self, DENIED, RECEIVER, SENDER},
    question::{BY_NODE, End, OWN_NODE, Question},
    verdict::PASSES,
};

/// The number of a [`Drop`].
pub const DENIED_BY_EGRESS: u32 = Drop::PolicyEgress as u32;
/// The number of a [`Drop`].
pub const DENIED_BY_INGRESS: u32 = Drop::PolicyIngress as u32;

/// In [`judge`]'s answer: the number of a [`Drop`], or 0.
pub const REASON: u32 = 0xff;
/// For [`judge`]: the packet goes from the flow's opener to its target.
pub const FORWARD: u32 = 0;
/// For [`judge`]: it goes back.
const BACK: u32 = 1;

/// For [`judge`]: which way the question's packet goes in `flow`.
#[inline(always)]
pub fn opened_by(question: &Question, flow: &Flow) -> u32 {
    if question.is_by_opener(flow) { FORWARD } else { BACK }
}

/// The policies that a new flow is not asked for.
#[inline(always)]
pub const fn exempt(question: &Question) -> u32 {
    let egress = if question.circumstances & OWN_NODE != 0 { EXEMPT_EGRESS as u32 } else { 0 };
    let ingress = if question.circumstances & BY_NODE != 0 { EXEMPT_INGRESS as u32 } else { 0 };
    egress | ingress
}

/// What a flow opened by `opener` towards `target` meets: 0, or the number of a [`Drop`]. The number of the rule that
/// allows it stands above.
#[inline(always)]
pub fn judge(question: &Question, opener: &End, target: &End, direction: u32, exempt: u32) -> u32 {
    let opener_is_lower = (question.source_is_lower != 0) == (direction == FORWARD);
    let port_be = if opener_is_lower { question.key.higher_port_be } else { question.key.lower_port_be };
    let asked = match question.key.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => policy::port(question.key.protocol, port_be),
        _ => policy::ANYTHING,
    };
    let (opener_address, target_address) = if direction == FORWARD { (SENDER, RECEIVER) } else { (RECEIVER, SENDER) };
    let mut rule = 0;
    let egress = Word(opener.word).egress();
    if egress != 0 && exempt & u32::from(EXEMPT_EGRESS) == 0 {
        rule = policy::fr_allows(egress, target_address, asked);
        if rule == DENIED {
            return DENIED_BY_EGRESS;
        }
    }
    let ingress = Word(target.word).ingress();
    if ingress != 0 && exempt & u32::from(EXEMPT_INGRESS) == 0 {
        rule = policy::fr_allows(ingress, opener_address, asked);
        if rule == DENIED {
            return DENIED_BY_INGRESS;
        }
    }
    rule << 8
}

/// Judges the packet's sender, and remembers nothing. Gives the number of a [`Drop`], or [`PASSES`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_judge() -> u32 {
    let Some(question) = Question::current() else { return DENIED_BY_INGRESS };
    match judge(question, &question.source, &question.destination, FORWARD, exempt(question)) & REASON {
        0 => PASSES,
        reason => reason,
    }
}
