//! `fr_conntrack` and what keeps it within bounds: `fr_flow_queue`, `fr_shares`, `fr_tenants`, `fr_quota`,
//! `fr_fragments`.
//!
//! One entry stands for both directions of a flow. It says who opened the flow and which words of `fr_ep_state` its local
//! ends had when that was allowed; while those words stand, so does the decision.
//!
//! Every entry's key waits in `fr_flow_queue`, the clock whose hand an insert into a full table moves on: what has
//! expired or is closing gives its place away, the rest goes to the queue's end.

use crate::{Address, policy::is_lower};

value! {
    /// The key of `fr_conntrack`: both ends in [`is_lower`]'s order.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct FlowKey {
        /// One end.
        pub lower: Address,
        /// The other end.
        pub higher: Address,
        /// The lower end's port, network byte order; the identifier of an echo; else 0.
        pub lower_port_be: u16,
        /// The higher end's port, or the same identifier, or 0.
        pub higher_port_be: u16,
        /// The protocol's number.
        pub protocol: u8,
        /// [`PORTS`], [`ECHO_FROM_LOWER`], [`ECHO_FROM_HIGHER`] or [`BARE`].
        pub kind: u8,
        /// Zero.
        pub pad: u16,
    }
}

/// [`FlowKey::kind`]: TCP, UDP, SCTP.
pub const PORTS: u8 = 0;
/// [`FlowKey::kind`]: ICMP echo that the lower end asks for.
pub const ECHO_FROM_LOWER: u8 = 1;
/// [`FlowKey::kind`]: ICMP echo that the higher end asks for.
pub const ECHO_FROM_HIGHER: u8 = 2;
/// [`FlowKey::kind`]: a protocol whose ports are not known, or that has none.
pub const BARE: u8 = 3;

value! {
    /// The value of `fr_conntrack`. Programs write single fields of it in place, each at its own alignment.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Flow {
        /// The lower end's word when it was decided; 0 where that end is not a pod of this node.
        pub lower_word: u64,
        /// The higher end's word when it was decided; 0 where that end is not a pod of this node.
        pub higher_word: u64,
        /// The lower end's endpoint index; 0 where it is not a pod of this node.
        pub lower_endpoint: u32,
        /// The higher end's endpoint index; 0 where it is not a pod of this node.
        pub higher_endpoint: u32,
        /// When a packet was seen last: the low half of the kernel's jiffies.
        pub seen: u32,
        /// Tells an entry from a later one with the same key.
        pub stamp: u32,
        /// The endpoint whose share it counts in.
        pub charged: u32,
        /// When it was opened: jiffies, the low half.
        pub opened: u32,
        /// 1 if the higher end opened it.
        pub opened_by_higher: u8,
        /// 0, or why its opener's packets are denied: [`DENIED_EGRESS`], [`DENIED_INGRESS`].
        pub denied: u8,
        /// Of the lower end's TCP packets: [`FIN`], [`RST`].
        pub lower_tcp: u8,
        /// Of the higher end's TCP packets: [`FIN`], [`RST`].
        pub higher_tcp: u8,
        /// How far it has got: [`UNANSWERED`], [`SYN_SENT`], [`SYN_RECEIVED`] or [`CONFIRMED`].
        pub answered: u8,
        /// 1 if the host's stack carried it towards a pod: what answers it goes by the stack, too.
        pub via_stack: u8,
        /// 1 if its remote end was a known pod.
        pub remote_pod: u8,
        /// What its opener is not asked for: [`EXEMPT_EGRESS`], [`EXEMPT_INGRESS`].
        pub exempt: u8,
        /// The tenant that it counts for: an index into `fr_tenants`, or 0.
        pub tenant: u32,
        /// Where it counts in `fr_shares`: [`INCOMING`], [`POOLED`].
        pub counted: u32,
    }
}

/// [`Flow::answered`]: nobody has answered its opener; any answer confirms it.
pub const UNANSWERED: u8 = 0;
/// [`Flow::answered`]: both ends have spoken; of TCP that began with a SYN, its opener again after the answer.
pub const CONFIRMED: u8 = 1;
/// [`Flow::answered`]: TCP that began with a SYN, which nobody has answered.
pub const SYN_SENT: u8 = 2;
/// [`Flow::answered`]: TCP whose SYN was answered, and whose opener has not spoken again. Whoever forges a source gets as far
/// as this.
pub const SYN_RECEIVED: u8 = 3;

/// [`Flow::counted`]: somebody else opened it towards the endpoint that is charged. Else that endpoint opened it.
pub const INCOMING: u32 = 1;
/// [`Flow::counted`]: it takes room that any endpoint may take. Else it takes the endpoint's own reserve.
pub const POOLED: u32 = 2;

/// [`Flow::exempt`]: a pod's way to its own node.
pub const EXEMPT_EGRESS: u8 = 1;
/// [`Flow::exempt`]: what the pod's own node opened.
pub const EXEMPT_INGRESS: u8 = 2;

/// In the place of a local end's word: the flow's opener has to be judged. No endpoint ever has it, since epochs begin at 1.
pub const UNDECIDED: u64 = 1;

/// [`Flow::denied`]: by the egress table of its opener.
pub const DENIED_EGRESS: u8 = 1;
/// [`Flow::denied`]: by the ingress table of its target.
pub const DENIED_INGRESS: u8 = 2;

/// [`Flow::lower_tcp`]: this end has sent its last byte.
pub const FIN: u8 = 1;
/// [`Flow::lower_tcp`]: this end has reset the connection.
pub const RST: u8 = 2;

value! {
    /// The value of `fr_flow_queue`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct QueuedFlow {
        /// The flow's key.
        pub key: FlowKey,
        /// The stamp of the entry that it was queued for.
        pub stamp: u32,
    }
}

value! {
    /// The value of `fr_shares`: what an endpoint's index has of the table. Index 0 is the node itself. The four counts are
    /// indexed by [`Flow::counted`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Share {
        /// Flows that it opened, in its reserve.
        pub reserved_out: u32,
        /// Flows that others opened towards it, in its reserve.
        pub reserved_in: u32,
        /// Flows that it opened, beyond its reserve.
        pub pooled_out: u32,
        /// Flows that others opened towards it, beyond its reserve.
        pub pooled_in: u32,
        /// How often there was no room for a flow of its own; the packet was dropped, or it passed where nothing isolates.
        pub refused: u32,
        /// Zero.
        pub pad: u32,
    }
}

impl Share {
    /// All flows.
    #[must_use]
    pub const fn flows(&self) -> u64 {
        self.reserved_out as u64 + self.reserved_in as u64 + self.pooled_out as u64 + self.pooled_in as u64
    }

    /// The count that a flow stands in.
    #[must_use]
    pub const fn count(&mut self, counted: u32) -> &mut u32 {
        match (counted & INCOMING != 0, counted & POOLED != 0) {
            (false, false) => &mut self.reserved_out,
            (true, false) => &mut self.reserved_in,
            (false, true) => &mut self.pooled_out,
            (true, true) => &mut self.pooled_in,
        }
    }
}

value! {
    /// The value of `fr_tenants`: what the endpoints of one namespace have of the pool; index 0 holds the sum of all.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Tenant {
        /// Flows beyond their endpoints' reserves.
        pub pooled: u32,
        /// Zero.
        pub pad: u32,
    }
}

/// The value of `fr_quota`, which has one entry: how the table is shared out. One aligned word, so that programs see both
/// parts as of one moment. 0: nobody has shared it out, and only its size is a limit.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota(pub u64);

/// Flows in each direction that an endpoint's index has for itself, where the table has room for it.
pub const RESERVE: u32 = 64;
/// A tenant may take so many times of the pool what is left of it. So one tenant gets two thirds, two get two fifths each,
/// and something is left for whoever comes next.
pub const TENANT_FACTOR: u32 = 2;

impl Quota {
    /// From its parts.
    #[must_use]
    pub const fn new(reserve: u32, pool: u32) -> Self {
        Self(reserve as u64 | (pool as u64) << 32)
    }

    /// Of a table of `entries` with so many `endpoints`, the node among them: at most a quarter is reserved, and a
    /// sixty-fourth stays free for what is counted on two CPUs at once.
    #[must_use]
    pub const fn of(entries: u32, endpoints: u32) -> Self {
        let (entries, endpoints) = (entries as u64, if endpoints == 0 { 1 } else { endpoints as u64 });
        let fair = entries / 4 / (2 * endpoints);
        let reserve = if fair < RESERVE as u64 { fair } else { RESERVE as u64 };
        let pool = entries - entries / 64 - reserve * 2 * endpoints;
        Self(reserve | pool << 32)
    }

    /// Flows in each direction that each endpoint has for itself.
    #[inline(always)]
    #[must_use]
    pub const fn reserve(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// Flows beyond all reserves.
    #[inline(always)]
    #[must_use]
    pub const fn pool(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

value! {
    /// The value of `fr_removals`, which has one entry.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Removals {
        /// How often a flow was removed for another reason than its age: what a CPU remembers of flows is void then.
        pub count: u64,
    }
}

value! {
    /// The key of `fr_fragments`: RFC 791 section 3.2, RFC 8200 section 4.5.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct FragmentKey {
        /// The source.
        pub source: Address,
        /// The destination.
        pub destination: Address,
        /// The identification, network byte order.
        pub id: u32,
        /// The protocol's number.
        pub protocol: u32,
    }
}

value! {
    /// The value of `fr_fragments`: what the first fragment said of its flow.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Fragment {
        /// The source port, or the identifier of an echo, or 0; network byte order.
        pub source_port_be: u16,
        /// The destination port, or the identifier of an echo, or 0; network byte order.
        pub destination_port_be: u16,
        /// What the layer 4 message is: the programs' own numbers.
        pub message: u32,
    }
}

impl FlowKey {
    /// The key of a flow with ports, or of one without any (both 0, [`BARE`]), and whether `source` is its lower end.
    #[inline(always)]
    #[must_use]
    pub const fn of(
        source: &Address,
        source_port_be: u16,
        destination: &Address,
        destination_port_be: u16,
        protocol: u8,
        kind: u8,
    ) -> (Self, bool) {
        if is_lower(source, source_port_be, destination, destination_port_be) {
            let key = Self {
                lower: *source,
                higher: *destination,
                lower_port_be: source_port_be,
                higher_port_be: destination_port_be,
                protocol,
                kind,
                pad: 0,
            };
            (key, true)
        } else {
            let key = Self {
                lower: *destination,
                higher: *source,
                lower_port_be: destination_port_be,
                higher_port_be: source_port_be,
                protocol,
                kind,
                pad: 0,
            };
            (key, false)
        }
    }
}
