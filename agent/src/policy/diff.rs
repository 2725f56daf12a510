//! What differs between two snapshots: where the writer named what changed, only that is compared. Pointers come first:
//! snapshots share what did not change.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    iter::Peekable,
    sync::Arc,
};

use ferrule_model::{objects::Objects, policy::Change};

use crate::store::Changed;

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

/// The same, where nothing but `changed` can differ.
pub(super) fn named(before: &Objects, after: &Objects, changed: &Changed) -> Vec<Change> {
    let namespaces = of_those(&changed.namespaces, &before.namespaces, &after.namespaces);
    let pods = of_those(&changed.pods, &before.pods, &after.pods);
    let policies = of_those(&changed.policies, &before.policies, &after.policies);
    let namespaces = namespaces.map(|(name, object)| Change::Namespace(name.clone(), object));
    let pods = pods.map(|(name, object)| Change::Pod(name.clone(), object));
    let policies = policies.map(|(name, object)| Change::Policy(name.clone(), object));
    namespaces.chain(pods).chain(policies).collect()
}

/// Each of the keys whose value is another, with the new value.
fn of_those<'a, K: Ord, V: PartialEq>(
    keys: &'a BTreeSet<K>,
    before: &'a BTreeMap<K, Arc<V>>,
    after: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = (&'a K, Option<Arc<V>>)> {
    keys.iter().filter_map(|key| {
        let (old, new) = (before.get(key), after.get(key));
        (old != new).then(|| (key, new.cloned()))
    })
}

type Entries<'a, K, V> = Peekable<std::collections::btree_map::Iter<'a, K, Arc<V>>>;

/// Walks both maps in step; gives each key whose value is another, with the new value.
fn differing<'a, K: Ord, V: PartialEq>(
    before: &'a BTreeMap<K, Arc<V>>,
    after: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = (&'a K, Option<Arc<V>>)> {
    let (mut old, mut new): (Entries<'a, K, V>, Entries<'a, K, V>) =
        (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return None,
                // One object has one name: no need to compare the names.
                (Some((_, a)), Some((_, b))) if Arc::ptr_eq(a, b) => {
                    old.next();
                    new.next();
                    continue;
                }
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            match order {
                Ordering::Less => return old.next().map(|(key, _)| (key, None)),
                Ordering::Greater => return new.next().map(|(key, value)| (key, Some(Arc::clone(value)))),
                Ordering::Equal => {
                    let (Some((_, a)), Some((key, b))) = (old.next(), new.next()) else { return None };
                    if a != b {
                        return Some((key, Some(Arc::clone(b))));
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &[(u8, u8)], after: &[(u8, u8)], expected: &[(u8, Option<u8>)]) {
        let map = |entries: &[(u8, u8)]| entries.iter().map(|(key, value)| (*key, Arc::new(*value))).collect();
        let (before, after): (BTreeMap<u8, Arc<u8>>, BTreeMap<u8, Arc<u8>>) = (map(before), map(after));
        let found: Vec<_> = differing(&before, &after).map(|(key, value)| (*key, value.map(|value| *value))).collect();
        assert_eq!(found, expected, "{before:?} {after:?}");
        // Naming too much changes nothing.
        let keys = before.keys().chain(after.keys()).copied().chain([99]).collect();
        let found: Vec<_> = of_those(&keys, &before, &after).map(|(key, value)| (*key, value.map(|v| *v))).collect();
        assert_eq!(found, expected, "named: {before:?} {after:?}");
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
