//! What `metadata` says.

use std::{mem, sync::Arc};

use ferrule_model::objects::{Identity, Kind, ObjectName};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    error::FieldError,
    scalar::{Later, Maybe, Meaning, text},
    shape::{Part, Strings},
};
use crate::timestamp;

/// Which object it is: of use also where the object is not.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Names {
    name: Later<Name>,
    namespace: Later<Name>,
    resource_version: Later<String>,
}

impl Names {
    /// The object, and the version of it.
    pub(super) fn identity(self, kind: Kind) -> (Option<String>, Result<Identity, FieldError>) {
        let identity = || {
            let Name(name) = self.name.needed("metadata.name")?;
            let namespace = match kind {
                Kind::Node | Kind::Namespace => None,
                Kind::Pod | Kind::NetworkPolicy | Kind::Service | Kind::EndpointSlice => {
                    Some(self.namespace.get("metadata.namespace")?.map_or_else(|| "default".into(), |Name(name)| name))
                }
            };
            Ok(Identity { kind, name: ObjectName::new(namespace.unwrap_or_default(), name) })
        };
        (self.resource_version.get("").unwrap_or_default(), identity())
    }
}

/// All that is of use.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    name: Later<Name>,
    namespace: Later<Name>,
    resource_version: Later<String>,
    pub uid: Maybe<String>,
    pub labels: Strings,
    pub annotations: Part<Annotations>,
    creation_timestamp: Maybe<Time>,
    pub deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Annotations {
    /// [`super::MIRROR`].
    #[serde(rename = "kubernetes.io/config.mirror")]
    pub mirror: Maybe<String>,
    /// [`crate::announce::ANNOTATION`].
    #[serde(rename = "ferrule.dev/pod-ips")]
    pub announced: Maybe<String>,
}

impl Metadata {
    /// Takes the names out.
    pub(super) fn names(&mut self) -> Names {
        let (name, namespace) = (mem::take(&mut self.name), mem::take(&mut self.namespace));
        Names { name, namespace, resource_version: mem::take(&mut self.resource_version) }
    }

    /// `creationTimestamp` in seconds since 1970; 0 where there is none.
    pub(super) fn created(&self) -> u64 {
        self.creation_timestamp.0.as_ref().map_or(0, |Time(seconds)| *seconds)
    }
}

/// A name as Kubernetes has them (DNS subdomain, RFC 1123).
struct Name(Arc<str>);

impl Meaning for Name {
    fn of(value: Value) -> Result<Self, String> {
        let name = text(value)?;
        if name.is_empty() {
            return Err("is missing".to_owned());
        }
        let end = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let allowed = name.bytes().all(|byte| end(byte) || byte == b'-' || byte == b'.');
        if name.len() > 253
            || !allowed
            || !name.bytes().next().is_some_and(end)
            || !name.bytes().last().is_some_and(end)
        {
            return Err(format!("{name:?} is not a name: lower case letters, digits, '-' and '.', at most 253"));
        }
        Ok(Self(name.into()))
    }
}

/// Seconds since 1970.
struct Time(u64);

impl Meaning for Time {
    fn of(value: Value) -> Result<Self, String> {
        let text = text(value)?;
        timestamp::seconds(&text).map(Self).ok_or_else(|| format!("{text:?} is not a time like 2026-11-22T17:00:00Z"))
    }
}
