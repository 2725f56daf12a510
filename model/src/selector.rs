//! Labels and the selectors that ask for them
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>).

use std::sync::Arc;

/// An object's labels, sorted by key. Cloning is cheap, and a source may share equal sets among objects: the replicas
/// of a deployment differ in nothing else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(Arc<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(name, _)| (**name).cmp(key)).ok()?;
        Some(&self.0[at].1)
    }

    /// Every label, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many share this set, this one included.
    #[must_use]
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The last of several equal keys stands.
impl<K: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let sorted: std::collections::BTreeMap<Arc<str>, Arc<str>> =
            labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        Self(sorted.into_iter().collect())
    }
}

/// What a label must be like.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Test {
    /// It is there, with one of these values.
    In(Vec<String>),
    /// It is missing, or has none of these values.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is missing.
    DoesNotExist,
}

/// One condition of a selector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What its value must be like.
    pub test: Test,
}

impl Requirement {
    /// Whether these labels fulfil it.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

/// A label selector: `matchLabels` and `matchExpressions` as one list, all of which must hold. The empty selector
/// selects everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Selector(Vec<Requirement>);

impl Selector {
    /// Requirements in any order; equal selectors compare equal in whatever order they were written.
    #[must_use]
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        for requirement in &mut requirements {
            if let Test::In(values) | Test::NotIn(values) = &mut requirement.test {
                values.sort();
                values.dedup();
            }
        }
        requirements.sort();
        requirements.dedup();
        Self(requirements)
    }

    /// Whether these labels fulfil every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }

    /// Its requirements, sorted.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Labels {
        text.split_whitespace().filter_map(|pair| pair.split_once('=')).collect()
    }

    /// `a=b` `a!=b` `a` `!a`, values separated by `|`.
    fn selector(text: &str) -> Selector {
        let values = |list: &str| list.split('|').map(str::to_owned).collect();
        let requirement = |word: &str| {
            let (key, test) = if let Some((key, list)) = word.split_once("!=") {
                (key, Test::NotIn(values(list)))
            } else if let Some((key, list)) = word.split_once('=') {
                (key, Test::In(values(list)))
            } else if let Some(key) = word.strip_prefix('!') {
                (key, Test::DoesNotExist)
            } else {
                (word, Test::Exists)
            };
            Requirement { key: key.to_owned(), test }
        };
        Selector::new(text.split_whitespace().map(requirement).collect())
    }

    fn check(wanted: &str, has: &str, expected: bool) {
        assert_eq!(selector(wanted).matches(&labels(has)), expected, "selector `{wanted}`, labels `{has}`");
    }

    #[test]
    fn the_empty_selector_selects_everything() {
        check("", "", true);
        check("", "app=web", true);
    }

    #[test]
    fn in_needs_one_of_its_values() {
        check("app=web", "app=web", true);
        check("app=web|db", "app=db", true);
        check("app=web", "app=db", false);
        check("app=web", "", false);
        check("app=web", "app=web2", false);
        check("app=", "app=", true);
    }

    #[test]
    fn not_in_accepts_a_missing_label() {
        check("app!=web", "", true);
        check("app!=web", "app=db", true);
        check("app!=web|db", "app=db", false);
    }

    #[test]
    fn exists_and_does_not_exist_ignore_the_value() {
        check("app", "app=", true);
        check("app", "tier=x", false);
        check("!app", "tier=x", true);
        check("!app", "app=", false);
    }

    #[test]
    fn all_requirements_must_hold() {
        check("app=web tier!=back !old new", "app=web new=1", true);
        check("app=web tier!=back !old new", "app=web new=1 tier=back", false);
        check("app=web tier!=back !old new", "app=web new=1 old=", false);
        check("app=web app=db", "app=web", false);
    }

    #[test]
    fn selectors_written_in_another_order_are_equal() {
        assert_eq!(selector("a=x|y b"), selector("b a=y|x|x"));
    }

    #[test]
    fn labels_find_each_of_their_keys() {
        let labels = labels("z=1 a=2 m=3 a=4");
        assert_eq!((labels.get("a"), labels.get("m"), labels.get("z")), (Some("4"), Some("3"), Some("1")));
        assert_eq!(labels.get("b"), None);
        assert_eq!(labels.iter().count(), 3);
    }
}
