//! Selectors found by the labels that they ask for, so that a pod's change looks at those alone that can match it.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use crate::selector::{Labels, Requirement, Selector, Test};

/// Numbered selectors. Each is filed under the values of its narrowest `In`, or among the rest if it has none.
#[derive(Debug, Default)]
pub(super) struct SelectorIndex {
    filed: HashMap<u64, Vec<u32>>,
    rest: Vec<u32>,
}

/// A label's hash. Two labels may share one: whoever looks something up by it asks the selector itself too.
pub(super) fn label(key: &str, value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, value).hash(&mut hasher);
    hasher.finish()
}

/// The requirement that names the fewest labels.
pub(super) fn narrowest(selector: &Selector) -> Option<(&str, &[String])> {
    let values = |requirement: &'_ Requirement| match &requirement.test {
        Test::In(values) => values.len(),
        _ => usize::MAX,
    };
    let found = selector.requirements().iter().min_by_key(|requirement| values(requirement))?;
    match &found.test {
        Test::In(values) => Some((&found.key, values)),
        _ => None,
    }
}

impl SelectorIndex {
    pub(super) fn insert(&mut self, selector: &Selector, id: u32) {
        match narrowest(selector) {
            Some((key, values)) => {
                values.iter().for_each(|value| self.filed.entry(label(key, value)).or_default().push(id));
            }
            None => self.rest.push(id),
        }
    }

    pub(super) fn remove(&mut self, selector: &Selector, id: u32) {
        let Some((key, values)) = narrowest(selector) else { return self.rest.retain(|other| *other != id) };
        for hash in values.iter().map(|value| label(key, value)) {
            if let Some(ids) = self.filed.get_mut(&hash) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.filed.remove(&hash);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filed.is_empty() && self.rest.is_empty()
    }

    /// Every selector that may match these labels, each at most once per label.
    pub(super) fn candidates<'a>(&'a self, labels: &'a Labels) -> impl Iterator<Item = u32> + 'a {
        let filed = (!self.filed.is_empty()).then(|| labels.iter());
        let filed = filed.into_iter().flatten().filter_map(|(key, value)| self.filed.get(&label(key, value)));
        filed.flatten().chain(&self.rest).copied()
    }
}
