//! Which index each node entry gets. An entry that stands keeps its index; a changed or new one gets the lowest that
//! nothing uses, that no packet on its way may still name, and that this plan does not take away from another.

use std::collections::{BTreeMap, BTreeSet};

use super::{Input, Issue, NodeEntry, Reason};
use crate::objects::Map;

/// Assigns indices from 1 to `capacity`. `observed` are the entries in force, `resting` indices that were removed
/// lately. The answer has no index for entries that do not fit: some do once the replaced entries have gone and
/// rested.
#[must_use]
pub fn assign<'a>(
    wanted: &BTreeMap<&'a str, NodeEntry>,
    observed: &Map<u32, NodeEntry>,
    resting: &BTreeSet<u32>,
    capacity: u32,
) -> BTreeMap<&'a str, u32> {
    let mut standing: BTreeMap<&NodeEntry, Vec<u32>> = BTreeMap::new();
    for (index, entry) in observed.iter().rev() {
        standing.entry(entry).or_default().push(*index);
    }
    let mut indices = BTreeMap::new();
    let mut fresh = Vec::new();
    for (name, entry) in wanted {
        match standing.get_mut(entry).and_then(Vec::pop) {
            Some(index) => _ = indices.insert(*name, index),
            None => fresh.push(*name),
        }
    }
    let free = (1..=capacity).filter(|index| !observed.contains_key(index) && !resting.contains(index));
    indices.extend(fresh.into_iter().zip(free));
    indices
}

/// The indices of all entries; those that do not fit are reported.
pub(super) fn indices<'a>(
    input: Input<'_>,
    entries: &BTreeMap<&'a str, NodeEntry>,
    issues: &mut Vec<Issue>,
) -> BTreeMap<&'a str, u32> {
    let capacity = input.settings.node_capacity;
    let indices = assign(entries, input.observed, input.resting, capacity);
    let left_out = entries.keys().filter(|name| !indices.contains_key(*name));
    issues.extend(left_out.map(|name| Issue::of_node(name, Reason::NodesFull { capacity })));
    indices
}

#[cfg(test)]
mod tests {
    use super::{super::Forwarding, *};

    fn entry(mtu: u32) -> NodeEntry {
        NodeEntry {
            forwarding: Forwarding::Vxlan,
            ifindex: 7,
            mtu,
            tunnel: None,
            source: None,
            uplink: None,
            next_hop_v4: None,
            next_hop_v6: None,
            internal_v4: None,
            internal_v6: None,
        }
    }

    /// Entries are told apart by their MTU alone.
    fn check(wanted: &[(&str, u32)], observed: &[(u32, u32)], resting: &[u32], expected: &[(&str, u32)]) {
        let wanted = wanted.iter().map(|(name, mtu)| (*name, entry(*mtu))).collect();
        let observed = observed.iter().map(|(index, mtu)| (*index, entry(*mtu))).collect();
        let indices = assign(&wanted, &observed, &resting.iter().copied().collect(), 4);
        assert_eq!(indices, expected.iter().copied().collect(), "{wanted:?} {observed:?}");
    }

    #[test]
    fn new_entries_get_the_lowest_free_index_from_one() {
        check(&[("a", 10), ("b", 20)], &[], &[], &[("a", 1), ("b", 2)]);
        check(&[("a", 10), ("b", 20), ("c", 30)], &[(2, 10)], &[], &[("a", 2), ("b", 1), ("c", 3)]);
    }

    #[test]
    fn an_equal_entry_keeps_its_index() {
        check(&[("a", 10), ("b", 20)], &[(3, 20), (4, 10)], &[], &[("a", 4), ("b", 3)]);
    }

    #[test]
    fn a_changed_entry_gets_an_index_that_is_not_in_use() {
        check(&[("a", 11)], &[(1, 10)], &[], &[("a", 2)]);
    }

    #[test]
    fn a_resting_index_is_not_used() {
        check(&[("a", 10)], &[], &[1, 2], &[("a", 3)]);
    }

    #[test]
    fn equal_entries_share_no_index() {
        check(&[("a", 10), ("b", 10)], &[(1, 10)], &[], &[("a", 1), ("b", 2)]);
    }

    #[test]
    fn what_does_not_fit_gets_no_index() {
        check(&[("a", 1), ("b", 2), ("c", 3)], &[(1, 9), (2, 8)], &[3], &[("a", 4)]);
    }
}
