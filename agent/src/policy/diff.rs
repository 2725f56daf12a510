//! What differs between two snapshots, which share what did not change, so that only the rest is looked at.

use std::sync::Arc;

use ferrule_model::{
    objects::{DiffItem, Map, Objects},
    policy::Change,
};

/// The changes that lead from one snapshot to another: namespaces, then pods, then policies.
pub(super) fn changes(before: &Objects, after: &Objects) -> Vec<Change> {
    let namespaces = differing(&before.namespaces, &after.namespaces);
    let pods = differing(&before.pods, &after.pods);
    let policies = differing(&before.policies, &after.policies);
    let namespaces = namespaces.map(|(name, object)| Change::Namespace(name.clone(), object));
    let pods = pods.map(|(name, object)| Change::Pod(name.clone(), object));
    let policies = policies.map(|(name, object)| Change::Policy(name.clone(), object));
    namespaces.chain(pods).chain(policies).collect()
}

/// Each key whose value is another, with the new value.
fn differing<'a, K: Ord + Clone, V: PartialEq>(
    before: &'a Map<K, Arc<V>>,
    after: &'a Map<K, Arc<V>>,
) -> impl Iterator<Item = (&'a K, Option<Arc<V>>)> {
    before.diff(after).map(|item| match item {
        DiffItem::Add(key, value) | DiffItem::Update { new: (key, value), .. } => (key, Some(Arc::clone(value))),
        DiffItem::Remove(key, _) => (key, None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &[(u8, u8)], after: &[(u8, u8)], expected: &[(u8, Option<u8>)]) {
        let map = |entries: &[(u8, u8)]| entries.iter().map(|(key, value)| (*key, Arc::new(*value))).collect();
        let (before, after): (Map<u8, Arc<u8>>, Map<u8, Arc<u8>>) = (map(before), map(after));
        let found: Vec<_> = differing(&before, &after).map(|(key, value)| (*key, value.map(|value| *value))).collect();
        assert_eq!(found, expected, "{before:?} {after:?}");
    }

    #[test]
    fn only_what_differs_is_found() {
        check(&[(1, 1), (2, 2)], &[(1, 1), (2, 2)], &[]);
        check(&[(1, 1), (2, 2)], &[(1, 1), (2, 3)], &[(2, Some(3))]);
        check(&[(1, 1)], &[], &[(1, None)]);
        check(&[], &[(1, 1)], &[(1, Some(1))]);
        check(&[(1, 1), (3, 3)], &[(0, 0), (2, 2), (3, 4)], &[(0, Some(0)), (1, None), (2, Some(2)), (3, Some(4))]);
    }
}
