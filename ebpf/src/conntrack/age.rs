//! How old a flow is, and which flow's place another may have.

use aya_ebpf::helpers::bpf_jiffies64;
use ferrule_common::{
    flow::{CONFIRMED, FIN, Flow, RST, SYN_RECEIVED, SYN_SENT},
    wire::protocol,
};

use crate::maps::{JIFFIES, TIMEOUT_CLOSING, TIMEOUT_OPENING, TIMEOUT_OTHER, TIMEOUT_STREAM, TIMEOUT_TCP, TIMEOUT_UDP};

/// The low half of the kernel's jiffies.
#[inline(always)]
pub fn now() -> u32 {
    // SAFETY: takes nothing and gives a number.
    (unsafe { bpf_jiffies64() }) as u32
}

/// How long a flow may be silent, in jiffies.
#[inline(always)]
pub fn timeout(flow: &Flow, protocol: u8) -> u32 {
    if flow.denied != 0 {
        // TCP tries again after two minutes at most (RFC 6298), and its packets keep the entry.
        return TIMEOUT_STREAM.load() * 2;
    }
    match protocol {
        protocol::TCP if is_closed(flow) => TIMEOUT_CLOSING.load(),
        protocol::TCP if flow.answered != CONFIRMED => TIMEOUT_OPENING.load(),
        protocol::TCP => TIMEOUT_TCP.load(),
        protocol::UDP | protocol::SCTP => {
            if is_unconfirmed(flow, protocol) {
                TIMEOUT_UDP.load()
            } else {
                TIMEOUT_STREAM.load()
            }
        }
        _ => TIMEOUT_OTHER.load(),
    }
}

/// Whether nobody has shown that both ends want it: TCP whose originator has not acknowledged the answer, an exchange that is not
/// a lasting one. Where its endpoint has no room it gives way to another of the same endpoint's.
#[inline(always)]
pub fn is_unconfirmed(flow: &Flow, protocol: u8) -> bool {
    if protocol == protocol::TCP {
        return flow.answered != CONFIRMED;
    }
    flow.answered != CONFIRMED || flow.seen.wrapping_sub(flow.opened) <= JIFFIES.load() * 2
}

/// Whether a TCP connection has ended.
#[inline(always)]
pub const fn is_closed(flow: &Flow) -> bool {
    (flow.lower_tcp | flow.higher_tcp) & RST != 0 || flow.lower_tcp & flow.higher_tcp & FIN != 0
}

/// Whether it was silent for too long.
#[inline(always)]
pub fn is_expired(flow: &Flow, protocol: u8, now: u32) -> bool {
    // What answers nobody's SYN is sent again and again, which keeps nothing.
    let opening = matches!(flow.answered, SYN_SENT | SYN_RECEIVED) && flow.denied == 0;
    let since = if opening { flow.opened } else { flow.seen };
    now.wrapping_sub(since) > timeout(flow, protocol)
}

/// Whether another flow may have its place where there is no other: it has expired or has ended.
#[inline(always)]
pub fn is_evictable(flow: &Flow, protocol: u8, now: u32) -> bool {
    let closed = protocol == protocol::TCP && is_closed(flow) && now.wrapping_sub(flow.seen) > JIFFIES.load() / 8;
    closed || is_expired(flow, protocol, now)
}
