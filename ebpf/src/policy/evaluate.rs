//! What the policies of both ends say of a packet.

use ferrule_common::{
    flow::{EXEMPT_EGRESS, EXEMPT_INGRESS, Flow},
    policy::Word,
    wire::protocol,
};

use crate::{
    context::{BY_NODE, End, OWN_NODE, PacketContext},
    policy::{
        answer::{Answer, DENIED_BY_EGRESS, DENIED_BY_INGRESS, Evaluation},
        tables,
        tables::{DENIED, RECEIVER, SENDER},
    },
};

/// For [`evaluate`]: the packet goes from the flow's originator to its target.
pub const FORWARD: u32 = 0;
/// For [`evaluate`]: it goes back.
const BACK: u32 = 1;

/// For [`evaluate`]: which way the context's packet goes in `flow`.
#[inline(always)]
pub fn opened_by(context: &PacketContext, flow: &Flow) -> u32 {
    if context.is_by_originator(flow) { FORWARD } else { BACK }
}

/// The policies that a new flow is not asked for.
#[inline(always)]
pub const fn exempt(context: &PacketContext) -> u32 {
    let egress = if context.flags & OWN_NODE != 0 { EXEMPT_EGRESS as u32 } else { 0 };
    let ingress = if context.flags & BY_NODE != 0 { EXEMPT_INGRESS as u32 } else { 0 };
    egress | ingress
}

/// What a flow opened by `originator` towards `target` meets: a rule that allows it, or why none does.
#[inline(always)]
pub fn evaluate(context: &PacketContext, originator: &End, target: &End, direction: u32, exempt: u32) -> Evaluation {
    let originator_is_lower = (context.source_is_lower != 0) == (direction == FORWARD);
    let port_be = if originator_is_lower { context.key.higher_port_be } else { context.key.lower_port_be };
    let asked = match context.key.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => tables::port(context.key.protocol, port_be),
        _ => tables::ANYTHING,
    };
    let (originator_address, target_address) =
        if direction == FORWARD { (SENDER, RECEIVER) } else { (RECEIVER, SENDER) };
    let mut rule = 0;
    let egress = Word(originator.word).egress();
    if egress != 0 && exempt & u32::from(EXEMPT_EGRESS) == 0 {
        rule = tables::fr_allows(egress, target_address, asked);
        if rule == DENIED {
            return Evaluation::denied(DENIED_BY_EGRESS);
        }
    }
    let ingress = Word(target.word).ingress();
    if ingress != 0 && exempt & u32::from(EXEMPT_INGRESS) == 0 {
        rule = tables::fr_allows(ingress, originator_address, asked);
        if rule == DENIED {
            return Evaluation::denied(DENIED_BY_INGRESS);
        }
    }
    Evaluation::allowed(rule)
}

/// Evaluates the packet's sender, and remembers nothing. Gives [`Answer::word`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_evaluate() -> u32 {
    let Some(context) = PacketContext::current() else { return DENIED_BY_INGRESS };
    match evaluate(context, &context.source, &context.destination, FORWARD, exempt(context)).reason() {
        0 => Answer::PASS.word(),
        reason => Answer::denied(reason).word(),
    }
}
