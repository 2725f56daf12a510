//! A file of manifests: YAML with several documents, or JSON. Objects are decoded one by one as the parser meets them,
//! also within a `List`, so that a large file is never in memory as a tree.

use std::borrow::Cow;

use ferrule_model::objects::{Identity, Kind};
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use super::decode::{FieldError, Object, Refused, decode};

/// What a file holds, object by object.
#[derive(Debug)]
pub enum Item {
    /// An object.
    Object(Identity, Object),
    /// An object of a kind that nothing here uses.
    Unused {
        /// `apiVersion` and `kind`, as in `apps/v1 Deployment`.
        kind: String,
    },
    /// An object with a bad value.
    Bad {
        /// Which one, where that can be told.
        identity: Option<Identity>,
        /// The field and what is wrong with it.
        error: FieldError,
        /// What stands for it where it was never good.
        stand_in: Option<Box<Object>>,
    },
}

/// A file that is not YAML or JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// From 1, where it is known.
    pub line: Option<u64>,
    /// The parser's words.
    pub message: String,
}

/// Every object of a YAML file. Empty documents are skipped.
///
/// # Errors
/// When the file is not YAML; then nothing of it can be trusted.
pub fn yaml(text: &str) -> Result<Vec<Item>, SyntaxError> {
    // Root alone writes here, so that size is no attack; the limits on aliases stay.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: usize::MAX,
            max_nodes: usize::MAX,
            max_documents: usize::MAX,
            max_total_scalar_bytes: usize::MAX,
            max_total_comment_bytes: usize::MAX,
            max_reader_input_bytes: None,
        },
    };
    let mut reader = text.as_bytes();
    let mut items = Vec::new();
    for document in serde_saphyr::read_with_options::<_, Document>(&mut reader, options) {
        let document = document.map_err(|error| SyntaxError {
            line: error.location().map(|location| location.line()),
            message: error.without_snippet().to_string(),
        })?;
        items.extend(document.0);
    }
    Ok(items)
}

/// Every object of a JSON file, which may hold several values one after another.
///
/// # Errors
/// When the file is not JSON; then nothing of it can be trusted.
pub fn json(text: &str) -> Result<Vec<Item>, SyntaxError> {
    let mut items = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<Document>() {
        let document =
            document.map_err(|error| SyntaxError { line: Some(error.line() as u64), message: error.to_string() })?;
        items.extend(document.0);
    }
    Ok(items)
}

/// The items of one document.
struct Document(Vec<Item>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = deserializer.deserialize_map(DocumentVisitor { of: None })?;
        Ok(Self(found.into_iter().map(|found| found.decoded(None)).collect()))
    }
}

/// The members of an object that may be in use.
type Members = Map<String, Value>;
/// `apiVersion` and `kind`.
type TypeNames = (String, String);

/// One object.
enum Found {
    /// Decoded, or refused.
    Item(Item),
    /// It does not name its type; a typed list that it stands in may do so further below.
    Untyped { api_version: Option<String>, kind: Option<String>, members: Members },
}

impl Found {
    /// The item, of the type that its list names where it names none itself.
    fn decoded(self, of: Option<&TypeNames>) -> Item {
        match self {
            Self::Item(item) => item,
            Self::Untyped { api_version, kind, members } => {
                let (default_version, default_kind) = of.cloned().unzip();
                item(api_version.or(default_version), kind.or(default_kind), members)
            }
        }
    }
}

/// Reads one object, or a list of them.
struct DocumentVisitor {
    /// The type of a typed list's items (`PodList`), which do not name it.
    of: Option<TypeNames>,
}

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Vec<Found>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<Found>, A::Error> {
        let (mut api_version, mut kind, mut members, mut items) = (Value::Null, Value::Null, Members::new(), None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "apiVersion" => api_version = map.next_value()?,
                "kind" => kind = map.next_value()?,
                "items" => items = map.next_value_seed(Items { of: items_of(&api_version, &kind) })?,
                "metadata" | "spec" | "status" | "addressType" | "endpoints" | "ports" => {
                    members.insert(key.into_owned(), map.next_value()?);
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        if kind.as_str().is_some_and(|kind| kind.ends_with("List")) {
            let of = items_of(&api_version, &kind);
            let decoded = |found: Found| Found::Item(found.decoded(of.as_ref()));
            return Ok(items.unwrap_or_default().into_iter().map(decoded).collect());
        }
        let (default_version, default_kind) = self.of.unzip();
        let api_version = api_version.as_str().map(str::to_owned).or(default_version);
        let kind = kind.as_str().map(str::to_owned).or(default_kind);
        Ok(vec![match (&api_version, &kind) {
            (Some(_), Some(_)) => Found::Item(item(api_version, kind, members)),
            _ => Found::Untyped { api_version, kind, members },
        }])
    }
}

/// The type of a typed list's items; none where it is not known (yet), or where each item names its own.
fn items_of(api_version: &Value, kind: &Value) -> Option<TypeNames> {
    let kind = kind.as_str()?.strip_suffix("List").filter(|kind| !kind.is_empty())?;
    Some((api_version.as_str()?.to_owned(), kind.to_owned()))
}

/// The items of a list.
struct Items {
    of: Option<TypeNames>,
}

impl<'de> serde::de::DeserializeSeed<'de> for Items {
    type Value = Option<Vec<Found>>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items {
    type Value = Option<Vec<Found>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of Kubernetes objects")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(found) = list.next_element_seed(OneItem { of: self.of.clone() })? {
            items.extend(found);
        }
        Ok(Some(items))
    }
}

/// One element of a list.
struct OneItem {
    of: Option<TypeNames>,
}

impl<'de> serde::de::DeserializeSeed<'de> for OneItem {
    type Value = Vec<Found>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(DocumentVisitor { of: self.of })
    }
}

fn item(api_version: Option<String>, kind: Option<String>, members: Members) -> Item {
    let missing =
        |field: &str| Item::Bad { identity: None, error: FieldError::new(field, "is missing"), stand_in: None };
    let Some(kind_name) = kind else { return missing("kind") };
    let Some(api_version) = api_version else { return missing("apiVersion") };
    let Some(kind) = Kind::of(&api_version, &kind_name) else {
        return Item::Unused { kind: format!("{api_version} {kind_name}") };
    };
    match decode(kind, &Value::Object(members).to_string(), usize::MAX).1 {
        Ok((identity, object)) => Item::Object(identity, object),
        Err(Refused { identity, error, stand_in }) => Item::Bad { identity, error, stand_in },
    }
}
