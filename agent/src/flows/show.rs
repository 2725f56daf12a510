//! A flow in words.

use ferrule_api::view;
use ferrule_common::flow::{
    BARE, DENIED_EGRESS, DENIED_INGRESS, ECHO_FROM_HIGHER, ECHO_FROM_LOWER, FIN, Flow, FlowKey, RST,
};

/// A flow in words; `now` and `second` are in jiffies.
#[must_use]
pub fn shown(key: &FlowKey, flow: &Flow, now: u32, second: u32) -> view::Flow {
    let lower = (key.lower, key.lower_port_be);
    let higher = (key.higher, key.higher_port_be);
    let (source, destination) = if flow.opened_by_higher != 0 { (higher, lower) } else { (lower, higher) };
    view::Flow {
        protocol: protocol(key.protocol),
        source: source.0.to_ip().to_string(),
        source_port: u16::from_be(source.1),
        destination: destination.0.to_ip().to_string(),
        destination_port: if matches!(key.kind, ECHO_FROM_LOWER | ECHO_FROM_HIGHER | BARE) {
            0
        } else {
            u16::from_be(destination.1)
        },
        state: state(flow).into(),
        idle: now.wrapping_sub(flow.seen) / second.max(1),
        endpoint: flow.charged,
        via_stack: flow.via_stack != 0,
    }
}

const fn state(flow: &Flow) -> &'static str {
    match flow.denied {
        DENIED_EGRESS => "denied by egress policy",
        DENIED_INGRESS => "denied by ingress policy",
        _ if (flow.lower_tcp | flow.higher_tcp) & RST != 0 => "closing",
        _ if flow.lower_tcp & flow.higher_tcp & FIN != 0 => "closing",
        _ if flow.answered != 0 => "answered",
        _ => "open",
    }
}

/// A protocol's usual name.
#[must_use]
pub fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".into(),
        6 => "tcp".into(),
        17 => "udp".into(),
        58 => "icmpv6".into(),
        132 => "sctp".into(),
        other => other.to_string(),
    }
}
