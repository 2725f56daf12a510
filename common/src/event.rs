//! `fr_events`: what became of single packets, for whoever watches.

use crate::Address;

value! {
    /// What a program says of a packet in `fr_events`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Event {
        /// Nanoseconds since the machine started, without sleep (`CLOCK_MONOTONIC`).
        pub time_ns: u64,
        /// The packet's source.
        pub source: Address,
        /// The packet's destination.
        pub destination: Address,
        /// The endpoint whose policy or whose traffic it was; 0 where none is concerned.
        pub endpoint: u32,
        /// The number of a [`crate::Drop`], or [`ALLOWED`].
        pub reason: u32,
        /// The rule that allowed it, if one did.
        pub rule: u32,
        /// Bytes of the packet, with the Ethernet header.
        pub bytes: u32,
        /// How many events of this CPU were left out before this one.
        pub left_out: u32,
        /// The source port, network byte order.
        pub source_port_be: u16,
        /// The destination port, network byte order.
        pub destination_port_be: u16,
        /// The protocol's number; 0 where the packet was not parsed.
        pub protocol: u8,
        /// The number of a [`crate::Program`].
        pub program: u8,
        /// [`INGRESS`] or [`EGRESS`], seen from the endpoint; else 0.
        pub direction: u8,
        /// Zero.
        pub pad: u8,
        /// Zero.
        pub pad2: u32,
    }
}

/// [`Event::reason`]: a new flow that may pass.
pub const ALLOWED: u32 = 0;
/// [`Event::direction`]: into the endpoint.
pub const INGRESS: u8 = 1;
/// [`Event::direction`]: out of the endpoint.
pub const EGRESS: u8 = 2;

value! {
    /// The value of `fr_sampling`, one for each CPU: how many events may still be written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Sampling {
        /// The second that `written` counts in: jiffies, the low half.
        pub since: u32,
        /// Events written since.
        pub written: u32,
        /// Events left out since the last that was written.
        pub left_out: u32,
        /// Zero.
        pub pad: u32,
    }
}

value! {
    /// The only value of `fr_watch`: what programs shall tell beside drops.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Watch {
        /// 1 while somebody wants to see new flows that may pass.
        pub allowed: u32,
    }
}
