//! What the connection table holds, counted anew: a kill in the middle of a takeover, or two CPUs that remove one flow at once,
//! may leave counts that no flow stands for, which would be missing for good.
//!
//! Flows come and go while they are counted. So what is wrong has to be wrong in the same direction twice in a row, and the
//! smaller of both differences is mended.

use std::collections::BTreeMap;

use ferrule_common::flow::{Flow, FlowKey, INCOMING, POOLED, Share};

/// Which count: an endpoint's, by [`Flow::counted`], or a tenant's, of whom 0 is everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    /// Of `fr_shares`.
    Endpoint(u32, u32),
    /// Of `fr_tenants`.
    Tenant(u32),
}

/// How far counts are off: what is there less what is said.
pub(crate) type Differences = BTreeMap<Count, i64>;

/// Compares flows with what is said of them, by endpoint and by tenant.
pub(crate) fn differences<'a>(
    flows: impl IntoIterator<Item = &'a (FlowKey, Flow)>,
    shares: &[(u32, Share)],
    tenants: &[(u32, u32)],
) -> Differences {
    let mut off = Differences::new();
    for (_, flow) in flows {
        *off.entry(Count::Endpoint(flow.charged, flow.counted)).or_default() += 1;
        if flow.counted & POOLED != 0 {
            *off.entry(Count::Tenant(0)).or_default() += 1;
            if flow.tenant != 0 {
                *off.entry(Count::Tenant(flow.tenant)).or_default() += 1;
            }
        }
    }
    for (endpoint, share) in shares {
        let mut share = *share;
        for counted in [0, INCOMING, POOLED, INCOMING | POOLED] {
            *off.entry(Count::Endpoint(*endpoint, counted)).or_default() -= signed(*share.count(counted));
        }
    }
    for (tenant, pooled) in tenants {
        *off.entry(Count::Tenant(*tenant)).or_default() -= signed(*pooled);
    }
    off.retain(|_, difference| *difference != 0);
    off
}

/// What is to be added to each count that was off twice in the same direction.
pub(crate) fn corrections(before: &Differences, now: &Differences) -> Differences {
    let both = now.iter().filter_map(|(count, now)| {
        let before = before.get(count)?;
        let smaller = if before.abs() < now.abs() { *before } else { *now };
        (before.signum() == now.signum()).then_some((*count, smaller))
    });
    both.collect()
}

/// A count, which may have fallen below zero.
fn signed(count: u32) -> i64 {
    count.cast_signed().into()
}

#[cfg(test)]
mod tests {
    use ferrule_common::Address;

    use super::*;

    fn flow(charged: u32, counted: u32, tenant: u32) -> (FlowKey, Flow) {
        let key = FlowKey {
            lower: Address::UNSPECIFIED,
            higher: Address::UNSPECIFIED,
            lower_port_be: 0,
            higher_port_be: 0,
            protocol: 6,
            kind: 0,
            pad: 0,
        };
        let flow = Flow {
            lower_word: 0,
            higher_word: 0,
            lower_endpoint: 0,
            higher_endpoint: 0,
            seen: 0,
            stamp: 0,
            charged,
            opened: 0,
            opened_by_higher: 0,
            denied: 0,
            lower_tcp: 0,
            higher_tcp: 0,
            answered: 0,
            via_stack: 0,
            remote_pod: 0,
            exempt: 0,
            tenant,
            counted,
        };
        (key, flow)
    }

    #[test]
    fn what_adds_up_is_left_alone() {
        let flows = [flow(1, 0, 4), flow(1, POOLED, 4), flow(2, INCOMING | POOLED, 0)];
        let one = Share { reserved_out: 1, pooled_out: 1, ..Share::default() };
        let two = Share { pooled_in: 1, ..Share::default() };
        assert!(differences(&flows, &[(1, one), (2, two)], &[(0, 2), (4, 1)]).is_empty());
    }

    #[test]
    fn counts_that_no_flow_stands_for_and_flows_that_nobody_counts_are_found() {
        let share = Share { reserved_in: 3, pooled_out: u32::MAX, ..Share::default() };
        let found = differences(&[flow(1, POOLED, 4)], &[(1, share)], &[(0, 0), (4, 9)]);
        let expected = [
            (Count::Endpoint(1, INCOMING), -3),
            (Count::Endpoint(1, POOLED), 2),
            (Count::Tenant(0), 1),
            (Count::Tenant(4), -8),
        ];
        assert_eq!(found, Differences::from(expected));
    }

    #[test]
    fn only_what_is_off_twice_in_one_direction_is_mended_by_the_smaller_difference() {
        let [a, b, c, d] = [Count::Tenant(1), Count::Tenant(2), Count::Tenant(3), Count::Endpoint(1, 0)];
        let before = Differences::from([(a, 5), (b, -5), (c, 5)]);
        let now = Differences::from([(a, 3), (b, -7), (c, -1), (d, 2)]);
        assert_eq!(corrections(&before, &now), Differences::from([(a, 3), (b, -5)]));
    }
}
