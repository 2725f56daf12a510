//! Which objects are not as they were: told by a writer that knows, so that nobody has to compare all of them.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use ferrule_model::objects::ObjectName;

/// Snapshots that are remembered with what changed in them, for readers that skip some.
const SNAPSHOTS: usize = 64;
/// Names altogether that are remembered: above, comparing everything is as good.
const NAMES: usize = 4096;

/// The objects that came, went, or became others from one snapshot to the next. To name one that did not change is no
/// mistake; to leave out one that did is. Nodes are not named: nobody asks for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Namespaces.
    pub namespaces: BTreeSet<Arc<str>>,
    /// Pods.
    pub pods: BTreeSet<ObjectName>,
    /// NetworkPolicies.
    pub policies: BTreeSet<ObjectName>,
}

impl Changed {
    fn len(&self) -> usize {
        self.namespaces.len() + self.pods.len() + self.policies.len()
    }

    fn add(&mut self, other: &Self) {
        self.namespaces.extend(other.namespaces.iter().cloned());
        self.pods.extend(other.pods.iter().cloned());
        self.policies.extend(other.policies.iter().cloned());
    }
}

/// What changed in the latest snapshots, which are numbered one after another.
#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// The latest snapshot's number.
    number: u64,
    /// What changed in it and in those before it, the oldest first.
    recent: VecDeque<Arc<Changed>>,
}

impl History {
    /// The latest snapshot's number.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Another snapshot; none where nobody knows what changed.
    pub(super) fn push(&mut self, changed: Option<Changed>) {
        self.number += 1;
        match changed {
            Some(changed) => self.recent.push_back(changed.into()),
            None => self.recent.clear(),
        }
        while self.recent.len() > SNAPSHOTS || self.recent.iter().map(|changed| changed.len()).sum::<usize>() > NAMES {
            self.recent.pop_front();
        }
    }

    /// What changed after the snapshot with this number; none where that is not remembered.
    pub(super) fn since(&self, number: u64) -> Option<Changed> {
        let missed = usize::try_from(self.number.checked_sub(number)?).ok()?;
        let skipped = self.recent.len().checked_sub(missed)?;
        let mut all = Changed::default();
        self.recent.iter().skip(skipped).for_each(|changed| all.add(changed));
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each snapshot changed pods of these numbers, or nobody knows what.
    fn check(snapshots: &[Option<&[usize]>], since: u64, expected: Option<&[usize]>) {
        let named = |pods: &[usize]| Changed {
            pods: pods.iter().map(|pod| ObjectName::new("default", format!("{pod:05}"))).collect(),
            ..Changed::default()
        };
        let mut history = History::default();
        snapshots.iter().for_each(|pods| history.push(pods.map(named)));
        assert_eq!(history.since(since), expected.map(named), "{snapshots:?} since {since}");
    }

    #[test]
    fn a_reader_that_skips_snapshots_learns_what_changed_in_all_of_them() {
        let snapshots: [Option<&[usize]>; 3] = [Some(&[1]), Some(&[2, 3]), Some(&[3])];
        check(&snapshots, 0, Some(&[1, 2, 3]));
        check(&snapshots, 1, Some(&[2, 3]));
        check(&snapshots, 2, Some(&[3]));
        check(&snapshots, 3, Some(&[]));
    }

    #[test]
    fn nothing_is_known_across_a_snapshot_whose_changes_nobody_named() {
        let snapshots: [Option<&[usize]>; 3] = [Some(&[1]), None, Some(&[3])];
        check(&snapshots, 0, None);
        check(&snapshots, 1, None);
        check(&snapshots, 2, Some(&[3]));
    }

    #[test]
    fn what_lies_too_far_back_is_forgotten() {
        let snapshots = vec![Some(&[1_usize] as &[usize]); SNAPSHOTS + 1];
        check(&snapshots, 0, None);
        check(&snapshots, 1, Some(&[1]));
        let many: Vec<usize> = (0..=NAMES).collect();
        check(&[Some(&many)], 0, None);
        check(&[Some(&many[1..])], 0, Some(&many[1..]));
        check(&[Some(&many), Some(&[7])], 1, Some(&[7]));
    }

    #[test]
    fn a_snapshot_that_is_not_there_yet_has_no_changes() {
        check(&[Some(&[1])], 2, None);
    }
}
