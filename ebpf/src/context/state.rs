//! All that a decision rests on: both ends of a packet's way, and its flow's name.

use ferrule_common::{
    Address,
    event::Event,
    flow::{self, Flow, FlowKey, QueuedFlow},
    policy::{ClassKey, Word, is_lower},
    prefix,
};

use crate::parse::{
    message,
    message::{ECHO_REPLY, ECHO_REQUEST, KIND, Transport},
};

/// One end of a packet's way.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct End {
    /// What holds for it now; 0 where it is no pod of this node.
    pub word: u64,
    /// Its endpoint index; 0 where it is no pod of this node.
    pub endpoint: u32,
    pub(super) pad: u32,
}

impl End {
    /// Not a pod of this node.
    pub const REMOTE: Self = Self { word: 0, endpoint: 0, pad: 0 };

    /// A pod of this node of which nothing is decided yet.
    #[inline(always)]
    pub const fn is_unknown(&self) -> bool {
        self.endpoint != 0 && self.word == 0
    }

    /// Nothing isolates it.
    #[inline(always)]
    pub const fn is_open(&self) -> bool {
        let word = Word(self.word);
        word.ingress() == 0 && word.egress() == 0
    }
}

/// What a run of the garbage collection is asked and did. It lies in a map: in registers, each count that differs is another state for the verifier
/// to follow. Packets leave it alone: where test runs do not keep softirqs off, one may come between.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Swept {
    /// Of which flows go.
    pub address: Address,
    /// Flows that were looked at.
    pub seen: u32,
    /// Those that went.
    pub removed: u32,
    /// Keys without a flow.
    pub stale: u32,
}

/// All that a decision rests on. It lies in a map, one for each CPU, so that functions share it and the stack stays small.
#[repr(C)]
pub struct PacketContext {
    /// The flow.
    pub key: FlowKey,
    /// The sender.
    pub source: End,
    /// The receiver.
    pub destination: End,
    /// The packet's source address.
    pub from: Address,
    /// The packet's destination address.
    pub to: Address,
    /// 1 if the sender is the key's lower end.
    pub source_is_lower: u32,
    /// As in [`Transport`].
    pub message: u32,
    /// [`BY_NODE`], [`OWN_NODE`], [`CARRIED`], [`QUOTED`], [`V4`], [`HAIRPIN`].
    pub flags: u32,
    /// As in `ferrule_common::Program`.
    pub program: u32,
    /// Of the fragment header that was read last.
    pub fragment_id: u32,
    /// The tenant towards which unconfirmed flows make room for the draft; 0: none.
    pub kin: u32,
    /// The entry that is about to be made.
    pub draft: Flow,
    /// Its place in the queue.
    pub queued: QueuedFlow,
    /// The place that the clock's hand points at.
    pub popped: QueuedFlow,
    /// What the sweep did so far.
    pub swept: Swept,
    /// The peer whose class is asked for.
    pub classed: ClassKey,
    /// The same, where it is no pod.
    pub blocked: prefix::Lookup,
    /// The event that is about to be told.
    pub told: Event,
}

/// The receiver's own node made the packet: it passes.
pub const BY_NODE: u32 = 1;
/// A pod's packet to its own node, which passes.
pub const OWN_NODE: u32 = 2;
/// The host's stack carried it: a new flow is answered through the stack.
pub const CARRIED: u32 = 4;
/// It is not this packet, but one that an ICMP error quotes.
pub const QUOTED: u32 = 8;
/// IPv4.
pub const V4: u32 = 16;
/// With [`BY_NODE`]: it was the receiver itself, under an address that the host's NAT gave it.
pub const HAIRPIN: u32 = 32;

impl PacketContext {
    /// Names the flow from `from` to `to`.
    #[inline(always)]
    pub fn name(&mut self, transport: Transport, protocol: u8) {
        let (source_port, destination_port) = (transport.source_port_be, transport.destination_port_be);
        let source_is_lower = is_lower(&self.from, source_port, &self.to, destination_port);
        let key = &mut self.key;
        if source_is_lower {
            (key.lower, key.higher) = (self.from, self.to);
            (key.lower_port_be, key.higher_port_be) = (source_port, destination_port);
        } else {
            (key.lower, key.higher) = (self.to, self.from);
            (key.lower_port_be, key.higher_port_be) = (destination_port, source_port);
        }
        (key.protocol, key.pad) = (protocol, 0);
        key.kind = match transport.message & KIND {
            message::PORTS => flow::PORTS,
            ECHO_REQUEST if source_is_lower => flow::ECHO_FROM_LOWER,
            ECHO_REQUEST => flow::ECHO_FROM_HIGHER,
            ECHO_REPLY if source_is_lower => flow::ECHO_FROM_HIGHER,
            ECHO_REPLY => flow::ECHO_FROM_LOWER,
            _ => flow::BARE,
        };
        self.source_is_lower = source_is_lower.into();
    }

    /// The key's ends: lower, higher.
    #[inline(always)]
    pub fn ends(&self) -> (&End, &End) {
        if self.source_is_lower != 0 { (&self.source, &self.destination) } else { (&self.destination, &self.source) }
    }

    /// Whether the sender is the end that opened `flow`.
    #[inline(always)]
    pub fn is_by_originator(&self, flow: &Flow) -> bool {
        (flow.opened_by_higher == 0) == (self.source_is_lower != 0)
    }
}
