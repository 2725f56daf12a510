//! Which members of a document are in use: the others are skipped while it is parsed, and are never in memory.

use std::fmt;

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

impl<'de> DeserializeSeed<'de> for Mask {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Mask {
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
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match self.member(&name) {
                Some(mask) => _ = members.insert(name, map.next_value_seed(mask)?),
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
        let value = POD.deserialize(&mut serde_json::Deserializer::from_str(document)).unwrap();
        assert_eq!(value.to_string(), expected, "{document}");
    }

    #[test]
    fn members_that_nobody_wants_are_not_there() {
        check(
            r#"{"name": "a", "kind": {"b": [1]}, "spec": {"node": null, "volumes": [{}], "containers":
                [{"name": "c", "ports": [{"port": 80, "x": -1.5}]}, {"env": []}, 7]}}"#,
            r#"{"name":"a","spec":{"containers":[{"ports":[{"port":80,"x":-1.5}]},{},7],"node":null}}"#,
        );
    }
}
