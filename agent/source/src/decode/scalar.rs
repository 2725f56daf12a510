//! Values that are no lists and no objects: what they mean, and in our words what is wrong with them.

use std::{fmt::Display, sync::Arc};

use serde::{
    Deserialize,
    de::{Deserializer, Error},
};
use serde_json::Value;

use super::{
    budget::{VALUE, take},
    error::FieldError,
};

/// A string.
pub(super) fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(format!("{} is not a string; put it in quotes", excerpt(&other))),
    }
}

/// One of these words; errors name those that are not empty.
pub(super) fn one_of<T: Copy>(value: Value, what: &str, words: &[(&str, T)]) -> Result<T, String> {
    let text = text(value)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
        format!("{text:?} is not {what} ({})", words.join(", "))
    })
}

/// A value as an error shows it: not more than one line.
pub(super) fn excerpt(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

/// Counts a value.
pub(super) fn count<E: Error>(value: Value) -> Result<Value, E> {
    take(VALUE + value.as_str().map_or(0, str::len))?;
    Ok(value)
}

fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Option::<Value>::deserialize(deserializer)?.map(count).transpose()
}

/// What a value means that is there.
pub(super) trait Meaning: Sized {
    /// Or what is wrong with it.
    fn of(value: Value) -> Result<Self, String>;
}

impl Meaning for String {
    fn of(value: Value) -> Result<Self, String> {
        text(value)
    }
}

impl Meaning for Arc<str> {
    fn of(value: Value) -> Result<Self, String> {
        text(value).map(Into::into)
    }
}

impl Meaning for bool {
    fn of(value: Value) -> Result<Self, String> {
        match value {
            Value::Bool(flag) => Ok(flag),
            other => Err(format!("{} is not true or false", excerpt(&other))),
        }
    }
}

/// A port.
impl Meaning for u16 {
    fn of(value: Value) -> Result<Self, String> {
        let Value::Number(number) = value else { return Err("is not a number".to_owned()) };
        let port = number.as_u64().and_then(|port| Self::try_from(port).ok()).filter(|port| *port != 0);
        port.ok_or_else(|| format!("{number} is not a port, which is from 1 to 65535"))
    }
}

/// A member that may be absent; null counts as absent, as Kubernetes has it.
pub(super) struct Maybe<T>(pub Option<T>);

impl Maybe<u16> {
    /// A port that has to be there.
    pub(super) fn port(&self, field: impl Display) -> Result<u16, FieldError> {
        self.0.ok_or_else(|| FieldError::new(field, "is missing or not a number"))
    }
}

impl<'de, T: Meaning> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        optional(deserializer)?.map(T::of).transpose().map(Self).map_err(D::Error::custom)
    }
}

/// A member that may be absent, and that some objects have for no use: then its value does not matter.
pub(super) struct Later<T>(Option<Result<T, String>>);

impl<T> Default for Later<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Later<T> {
    /// Its value, where it is of use.
    pub(super) fn get(self, field: impl Display) -> Result<Option<T>, FieldError> {
        self.0.transpose().map_err(|message| FieldError::new(field, message))
    }

    /// Its value, where there has to be one.
    pub(super) fn needed(self, field: impl Display) -> Result<T, FieldError> {
        self.get(&field)?.ok_or_else(|| FieldError::new(field, "is missing"))
    }
}

impl<'de, T: Meaning> Deserialize<'de> for Later<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(optional(deserializer)?.map(T::of)))
    }
}

/// A value that has to be there, and not empty.
pub(super) struct Needed<T>(pub T);

impl<'de, T: Meaning> Deserialize<'de> for Needed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not as an option: serde then tells of an absent one by name.
        let value = Value::deserialize(deserializer).and_then(count)?;
        let there = Some(value).filter(|value| !value.is_null() && value.as_str() != Some(""));
        there.map_or_else(|| Err("is missing".to_owned()), T::of).map(Self).map_err(D::Error::custom)
    }
}
