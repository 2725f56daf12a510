//! What is wrong with an object, by field.

use std::{convert::Infallible, fmt::Display};

use serde_path_to_error::Segment;

/// What is said of an object that takes too much memory.
pub(super) const TOO_LARGE: &str = "is larger than an object of its kind may be (8 MiB as it is read); make it smaller";

/// A field with a bad value. Shown as `spec.podCIDRs[1]: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The way to the field: `spec.podCIDRs[1]`.
    pub field: String,
    /// What is wrong with its value.
    pub message: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Display, message: impl Into<String>) -> Self {
        Self { field: field.to_string(), message: message.into() }
    }

    /// As serde carries it up: `field` is below the value that is being read, and begins with `.` or `[`, or is empty.
    pub(super) fn within<E: serde::de::Error>(self) -> E {
        if self.field.is_empty() { E::custom(self.message) } else { E::custom(self) }
    }

    /// Its object was too large to be read whole.
    pub(super) fn is_of_size(&self) -> bool {
        self.message == TOO_LARGE
    }
}

impl From<Infallible> for FieldError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<serde_path_to_error::Error<serde_json::Error>> for FieldError {
    fn from(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let segment = |segment: &Segment| match segment {
            Segment::Seq { index } => format!("[{index}]"),
            Segment::Map { key } | Segment::Enum { variant: key } => format!(".{key}"),
            Segment::Unknown => String::new(),
        };
        let mut field: String = error.path().iter().map(segment).collect();
        let error = error.into_inner();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let words = error.to_string();
        let mut words = words.strip_suffix(&place).unwrap_or(&words);
        if words == TOO_LARGE {
            return Self::new("spec", words);
        }
        if let Some(name) = words.strip_prefix("missing field `") {
            field.extend([".", name.trim_end_matches('`')]);
            words = "is missing";
        } else if words.starts_with("invalid type: ") {
            words = if words.ends_with("a sequence") { "is not a list" } else { "is not an object" };
        } else if words.starts_with(['.', '['])
            && let Some((below, message)) = words.split_once(": ")
        {
            field.push_str(below);
            words = message;
        }
        let field = field.strip_prefix('.').unwrap_or(&field);
        // The object itself has no way to it.
        Self::new(if field.is_empty() { "." } else { field }, words)
    }
}
