//! Objects and lists. Null counts as absent, as Kubernetes has it; a null among objects is one without members.

use std::{collections::BTreeMap, fmt, iter, marker::PhantomData};

use ferrule_model::selector::Labels;
use serde::{
    Deserialize,
    de::{
        Deserializer, MapAccess, Visitor,
        value::{MapAccessDeserializer, MapDeserializer},
    },
};
use serde_json::Value;

use super::{
    budget::{OBJECT, VALUE, take},
    error::FieldError,
    scalar::{Needed, count, text},
};

/// An object with members `T` that means `M`.
pub(super) struct Part<T, M = T>(pub M, PhantomData<T>);

impl<'de, T: Deserialize<'de>, M: TryFrom<T>> Deserialize<'de> for Part<T, M>
where
    FieldError: From<M::Error>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(OBJECT)?;
        let members = match Option::<Members<T>>::deserialize(deserializer)? {
            Some(Members(members)) => members,
            None => T::deserialize(MapDeserializer::new(iter::empty::<(&str, &str)>()))?,
        };
        M::try_from(members).map(|it| Self(it, PhantomData)).map_err(|error| FieldError::from(error).within())
    }
}

/// A struct from an object only: what serde derives takes a list, too.
struct Members<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor(PhantomData)).map(Self)
    }
}

struct MembersVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// The elements of a list; none where it is absent.
pub(super) struct List<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(VALUE)?;
        Ok(Self(Option::deserialize(deserializer)?.unwrap_or_default()))
    }
}

impl<T, M> List<Part<T, M>> {
    pub(super) fn parts(self) -> impl Iterator<Item = M> {
        self.0.into_iter().map(|part| part.0)
    }
}

impl<T> List<Needed<T>> {
    pub(super) fn values(self) -> impl Iterator<Item = T> {
        self.0.into_iter().map(|value| value.0)
    }
}

/// An object of strings, such as labels; empty where it is absent.
pub(super) struct Strings(pub BTreeMap<String, String>);

impl Strings {
    pub(super) fn labels(self) -> Labels {
        self.0.into_iter().collect()
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        take(OBJECT)?;
        let members: BTreeMap<String, Value> = Option::deserialize(deserializer)?.unwrap_or_default();
        let member = |(name, value)| match text(count(value)?) {
            Ok(text) => Ok((name, text)),
            Err(message) => Err(FieldError::new(format!("[{name}]"), message).within()),
        };
        members.into_iter().map(member).collect::<Result<_, _>>().map(Self)
    }
}
