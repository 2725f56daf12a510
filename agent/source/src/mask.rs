//! Which members of a document are in use: the others are skipped while it is parsed, and are never in memory; and how much
//! memory one document may take, beyond which nothing more of it is kept.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// What is wanted of a value. Of a list it is wanted of each element.
#[derive(Debug, Clone, Copy)]
pub enum Mask {
    /// Everything.
    All,
    /// These members.
    Members(&'static [(&'static str, Mask)]),
}

impl Mask {
    /// What is wanted of a member, if it is wanted.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::Members(members) => members.iter().find(|(wanted, _)| *wanted == name).map(|(_, mask)| *mask),
        }
    }
}

/// What a parsed value takes about, in bytes: one of its own, and an object (a node of a tree).
const VALUE: usize = 48;
const OBJECT: usize = 640;

/// What one document may still take, in bytes; `None` once it was too much, and something was skipped.
pub type Budget = Cell<Option<usize>>;

/// A mask with a budget.
#[derive(Debug, Clone, Copy)]
pub struct Bounded<'b> {
    /// What is wanted.
    pub mask: Mask,
    /// What may still be kept.
    pub budget: &'b Budget,
}

impl Bounded<'_> {
    /// Whether so many bytes more may be kept.
    fn takes(&self, bytes: usize) -> bool {
        let left = self.budget.get().and_then(|left| left.checked_sub(bytes));
        self.budget.set(left);
        left.is_some()
    }

    /// A value of this many bytes, or null where that is too much.
    fn kept<E>(&self, bytes: usize, value: impl FnOnce() -> Value) -> Result<Value, E> {
        Ok(if self.takes(bytes) { value() } else { Value::Null })
    }
}

impl<'de> DeserializeSeed<'de> for Mask {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let budget = Budget::new(Some(usize::MAX));
        Bounded { mask: self, budget: &budget }.deserialize(deserializer)
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        self.kept(VALUE, || value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        self.kept(VALUE, || value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        self.kept(VALUE, || value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        self.kept(VALUE, || value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        self.kept(VALUE + value.len(), || value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        self.kept(VALUE + value.len(), || value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        if !self.takes(VALUE) {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        while self.budget.get().is_some() {
            match list.next_element_seed(self)? {
                Some(value) => values.push(value),
                None => return Ok(values.into()),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        self.takes(OBJECT);
        while let Some(name) = map.next_key::<String>()? {
            match self.mask.member(&name).filter(|_| self.takes(VALUE + name.len())) {
                Some(mask) => _ = members.insert(name, map.next_value_seed(Self { mask, ..self })?),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: Mask = Mask::Members(&[
        ("name", Mask::All),
        ("spec", Mask::Members(&[("node", Mask::All), ("containers", Mask::Members(&[("ports", Mask::All)]))])),
    ]);

    fn check(document: &str, expected: &str) {
        let budget = Budget::new(Some(1 << 20));
        let seed = Bounded { mask: POD, budget: &budget };
        let value = seed.deserialize(&mut serde_json::Deserializer::from_str(document)).unwrap();
        assert_eq!(value.to_string(), expected, "{document}");
        assert!(budget.get().is_some_and(|left| left < 1 << 20));
    }

    #[test]
    fn members_that_nobody_wants_are_not_there() {
        check(
            r#"{"name": "a", "kind": {"b": [1]}, "spec": {"node": null, "volumes": [{}], "containers":
                [{"name": "c", "ports": [{"port": 80, "x": -1.5}]}, {"env": []}, 7]}}"#,
            r#"{"name":"a","spec":{"containers":[{"ports":[{"port":80,"x":-1.5}]},{},7],"node":null}}"#,
        );
    }

    #[test]
    fn of_a_document_that_is_too_large_nothing_more_is_kept_and_that_is_told() {
        let budget = Budget::new(Some(10_000));
        let document = format!(
            r#"{{"name": "a", "spec": {{"containers": [{}]}}}}"#,
            vec![r#"{"ports": [{"port": 1}]}"#; 1000].join(",")
        );
        let seed = Bounded { mask: POD, budget: &budget };
        let value = seed.deserialize(&mut serde_json::Deserializer::from_str(&document)).unwrap();
        assert_eq!((budget.get(), value["name"].as_str()), (None, Some("a")));
        let kept = value["spec"]["containers"].as_array().map_or(0, Vec::len);
        assert!((1..20).contains(&kept), "{kept}");
    }
}
