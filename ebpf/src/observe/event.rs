//! What watchers are told: drops, and new flows while somebody asks for them; sampled, so that a flood costs no more than
//! a bound, and one that a pod causes silences no other's events.

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_ktime_get_ns, programs::TcContext};
use ferrule_common::{
    Address, Drop, Program,
    event::{self, ALL, ALLOWED, EGRESS, Event, INGRESS, Sampling, admits},
};

use crate::{
    conntrack::age,
    context::PacketContext,
    forward::endpoint,
    maps::{EVENTS, EVENTS_A_SECOND, JIFFIES, SAMPLING, WATCH},
    parse::{message::Transport, packet::Packet},
};

/// Tells of a packet that was dropped.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_dropped(skb: *mut __sk_buff, program: u32, reason: u32) -> u32 {
    if is_spent() {
        return 0;
    }
    let Some(context) = PacketContext::current() else { return 0 };
    // Written where the stack is not: its addresses are keys, which kernels before 5.17 do not take from the ring's memory.
    let event = &mut context.told;
    let ctx = TcContext::new(skb);
    (event.source, event.destination) = (Address::UNSPECIFIED, Address::UNSPECIFIED);
    (event.source_port_be, event.destination_port_be, event.protocol) = (0, 0, 0);
    if let Ok(Some(packet)) = Packet::parse(&ctx) {
        (event.source, event.destination, event.protocol) = (packet.source, packet.destination, packet.protocol);
        if !packet.later_fragment
            && let Ok(transport) = Transport::parse(&ctx, &packet)
        {
            event.source_port_be = transport.source_port_be;
            event.destination_port_be = transport.destination_port_be;
        }
    }
    event.left_out = admit(cause(&ctx, program, &event.destination));
    if event.left_out == REFUSED {
        return 0;
    }
    (event.endpoint, event.direction) = concern(&ctx, program, reason, &event.source, &event.destination);
    // SAFETY: takes nothing and gives a number.
    event.time_ns = unsafe { bpf_ktime_get_ns() };
    (event.reason, event.rule, event.bytes) = (reason, 0, ctx.len());
    (event.program, event.pad, event.pad2) = (program as u8, 0, 0);
    let Some(mut entry) = EVENTS.reserve(0) else { return 0 };
    entry.write(*event);
    entry.submit(0);
    0
}

/// The endpoint in whose share a drop's event counts: the pod behind the link that it came by, else the one that it was for,
/// else nobody. Never the one that a source names, which anybody may write.
#[inline(always)]
fn cause(ctx: &TcContext, program: u32, destination: &Address) -> u32 {
    if (program == Program::FromPod as u32 || program == Program::ToPod as u32)
        && let Some(link) = endpoint::behind(ctx)
    {
        return link.index;
    }
    endpoint::local(destination).map_or(0, |own| own.index)
}

/// Which endpoint a drop concerns, and in which direction: whose policy it was, else who sent it, else who should have got
/// it.
#[inline(always)]
fn concern(ctx: &TcContext, program: u32, reason: u32, source: &Address, destination: &Address) -> (u32, u8) {
    if reason != Drop::PolicyIngress as u32 {
        let own = if program == Program::FromPod as u32 {
            endpoint::by_link(ctx).ok().map(|link| link.index)
        } else {
            endpoint::local(source).map(|own| own.index)
        };
        if let Some(own) = own {
            return (own, EGRESS);
        }
    }
    if let Some(own) = endpoint::local(destination) {
        return (own.index, INGRESS);
    }
    if program == Program::ToPod as u32
        && let Some(own) = endpoint::behind(ctx)
    {
        // Not by its own address: to many, or of the link.
        return (own.index, INGRESS);
    }
    (0, 0)
}

/// Tells of a new flow that may pass.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_allowed(skb: *mut __sk_buff, rule: u32) -> u32 {
    if WATCH.get(0).is_none_or(|watch| watch.allowed == 0) {
        return 0;
    }
    let Some(context) = PacketContext::current() else { return 0 };
    let outward = context.source.endpoint != 0;
    let endpoint = if outward { context.source.endpoint } else { context.destination.endpoint };
    let left_out = admit(endpoint);
    if left_out == REFUSED {
        return 0;
    }
    let Some(mut entry) = EVENTS.reserve(0) else { return 0 };
    let ctx = TcContext::new(skb);
    let (source_port_be, destination_port_be) = if context.source_is_lower != 0 {
        (context.key.lower_port_be, context.key.higher_port_be)
    } else {
        (context.key.higher_port_be, context.key.lower_port_be)
    };
    entry.write(Event {
        // SAFETY: takes nothing and gives a number.
        time_ns: unsafe { bpf_ktime_get_ns() },
        source: context.from,
        destination: context.to,
        endpoint,
        reason: ALLOWED,
        rule,
        bytes: ctx.len(),
        left_out,
        source_port_be,
        destination_port_be,
        protocol: context.key.protocol,
        program: context.program as u8,
        direction: if outward { EGRESS } else { INGRESS },
        pad: 0,
        pad2: 0,
    });
    entry.submit(0);
    0
}

/// What [`admit`] gives where there were enough.
const REFUSED: u32 = u32::MAX;

/// Whether this CPU may write another event about what an endpoint caused: how many were left out before it, or [`REFUSED`].
#[inline(always)]
fn admit(endpoint: u32) -> u32 {
    let (Some(all), Some(own)) = (current(ALL), current(endpoint)) else { return REFUSED };
    if !admits(EVENTS_A_SECOND.load(), all.written, own.written) {
        all.left_out = all.left_out.wrapping_add(1);
        return REFUSED;
    }
    (all.written, own.written) = (all.written + 1, own.written + 1);
    let left_out = all.left_out;
    all.left_out = 0;
    left_out
}

/// Whether this CPU may write none, whoever causes it; then one more is left out.
#[inline(always)]
fn is_spent() -> bool {
    let Some(all) = current(ALL) else { return true };
    let spent = event::is_spent(EVENTS_A_SECOND.load(), all.written);
    if spent {
        all.left_out = all.left_out.wrapping_add(1);
    }
    spent
}

/// This CPU's count in this second.
#[inline(always)]
fn current(index: u32) -> Option<&'static mut Sampling> {
    // SAFETY: this CPU's own slot, and a classifier is not interrupted by another run of itself on one CPU.
    let sampling = unsafe { &mut *SAMPLING.get_ptr_mut(index)? };
    let now = age::now();
    if now.wrapping_sub(sampling.since) >= JIFFIES.load() {
        (sampling.since, sampling.written) = (now, 0);
    }
    Some(sampling)
}
