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
    /// The value of `fr_sampling`, for each CPU: how many events were written about what an endpoint caused, by its index, 0
    /// for nobody; and at [`ALL`] how many of all.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Sampling {
        /// The second that `written` counts in: jiffies, the low half.
        pub since: u32,
        /// Events written since.
        pub written: u32,
        /// At [`ALL`]: events left out since the last that was written.
        pub left_out: u32,
        /// Zero.
        pub pad: u32,
    }
}

/// The index in `fr_sampling` that counts all events.
pub const ALL: u32 = crate::capacity::LINKS;

/// Whether an endpoint that caused `own` of a CPU's `all` events of this second may cause another. It has a quarter of the
/// `budget` at most, and a few where others have used that up.
#[inline(always)]
#[must_use]
pub const fn admits(budget: u32, all: u32, own: u32) -> bool {
    let (quarter, few) = (budget / 4, budget / 32);
    let quarter = if quarter == 0 { 1 } else { quarter };
    let few = if few == 0 { 1 } else { few };
    own < quarter && (all < budget || own < few) && !is_spent(budget, all)
}

/// Whether nobody may cause another, so that a flood from many costs no more than this question.
#[inline(always)]
#[must_use]
pub const fn is_spent(budget: u32, all: u32) -> bool {
    all >= budget.saturating_mul(4)
}

value! {
    /// The only value of `fr_watch`: what programs shall tell beside drops.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Watch {
        /// 1 while somebody wants to see new flows that may pass.
        pub allowed: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many events an endpoint gets, where all have caused so many.
    fn granted(budget: u32, mut all: u32) -> (u32, u32) {
        let mut own = 0;
        while admits(budget, all, own) {
            (own, all) = (own + 1, all + 1);
        }
        (own, all)
    }

    #[test]
    fn an_endpoint_has_a_quarter_and_where_others_have_used_up_all_of_it_a_few() {
        for (budget, quarter, few) in [(100, 25, 3), (1, 1, 1), (1000, 250, 31)] {
            assert_eq!(granted(budget, 0).0, quarter, "{budget}");
            assert_eq!(granted(budget, budget).0, few, "{budget}");
        }
    }

    #[test]
    fn a_cpu_writes_no_more_than_four_times_its_budget_whoever_asks() {
        let mut all = 0;
        for _ in 0..4096 {
            all = granted(100, all).1;
        }
        assert_eq!(all, 400);
        assert!(is_spent(100, 400) && !is_spent(100, 399) && !is_spent(u32::MAX, u32::MAX - 1));
        assert!(is_spent(0, 0) && !admits(0, 0, 0));
    }
}
