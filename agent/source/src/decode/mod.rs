//! From a document's parts to an object of the model, with every value checked.

mod node;
mod pod;
mod policy;
mod service;
mod slice;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use ferrule_model::{
    objects::{EndpointSlice, Identity, Kind, Namespace, NetworkPolicy, Node, ObjectName, Pod, Service},
    selector::Labels,
};
pub use node::START_TAINT;
use serde_json::Value;

use super::{
    announce,
    field::{Field, FieldError},
    timestamp,
};

/// The annotation of a mirror pod with the uid by which kubelet and runtime know the static pod
/// (<https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-config-mirror>).
pub const MIRROR: &str = "kubernetes.io/config.mirror";

/// A decoded object.
#[derive(Debug, Clone)]
pub enum Object {
    /// A node.
    Node(Node),
    /// A namespace.
    Namespace(Namespace),
    /// A pod.
    Pod(Pod),
    /// A policy.
    NetworkPolicy(NetworkPolicy),
    /// A Service.
    Service(Service),
    /// A part of a Service's backends.
    EndpointSlice(EndpointSlice),
}

/// The parts of a document that are in use.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// `metadata`.
    pub metadata: Value,
    /// `spec`.
    pub spec: Value,
    /// `status`.
    pub status: Value,
    /// `addressType` of an EndpointSlice.
    pub address_type: Value,
    /// `endpoints` of an EndpointSlice.
    pub endpoints: Value,
    /// `ports` of an EndpointSlice.
    pub ports: Value,
    /// It was too large to be kept whole.
    pub cut: bool,
}

impl Parts {
    /// The part that a member of a document is, where it is in use.
    pub fn part_mut(&mut self, name: &str) -> Option<&mut Value> {
        Some(match name {
            "metadata" => &mut self.metadata,
            "spec" => &mut self.spec,
            "status" => &mut self.status,
            "addressType" => &mut self.address_type,
            "endpoints" => &mut self.endpoints,
            "ports" => &mut self.ports,
            _ => return None,
        })
    }

    /// Which object of this kind it is.
    ///
    /// # Errors
    /// When `metadata` has no usable name.
    pub fn identity(&self, kind: Kind) -> Result<Identity, FieldError> {
        let metadata = Field::root("metadata", &self.metadata);
        let name = object_name(&metadata.get("name")?)?;
        let namespace = match kind {
            Kind::Node | Kind::Namespace => "",
            Kind::Pod | Kind::NetworkPolicy | Kind::Service | Kind::EndpointSlice => {
                let field = metadata.get("namespace")?;
                if field.is_some() { object_name(&field)? } else { "default" }
            }
        };
        Ok(Identity { kind, name: ObjectName::new(namespace, name) })
    }

    /// The object.
    ///
    /// # Errors
    /// When a value is bad; the error names its field.
    pub fn decode(&self, identity: &Identity) -> Result<Object, FieldError> {
        let name = &identity.name;
        let (spec, status) = (Field::root("spec", &self.spec), Field::root("status", &self.status));
        if self.cut {
            return Err(
                spec.error("is larger than an object of its kind may be (8 MiB as it is read); make it smaller")
            );
        }
        let metadata = Metadata::decode(&Field::root("metadata", &self.metadata))?;
        Ok(match identity.kind {
            Kind::Node => Object::Node(node::decode(&name.name, metadata, &spec, &status)?),
            Kind::Namespace => Object::Namespace(Namespace { name: Arc::clone(&name.name), labels: metadata.labels }),
            Kind::Pod => Object::Pod(pod::decode(name, metadata, &spec, &status)?),
            Kind::NetworkPolicy => Object::NetworkPolicy(policy::decode(name, &spec)?),
            Kind::Service => Object::Service(service::decode(name, &metadata, &spec)?),
            Kind::EndpointSlice => Object::EndpointSlice(slice::decode(name, &metadata, self)?),
        })
    }
}

impl Parts {
    /// What stands for an object of this kind that cannot be read and was never known, where nothing would open what it may
    /// close.
    #[must_use]
    pub fn stand_in(&self, identity: &Identity) -> Option<Object> {
        let nothing = Value::String("cut".into());
        // What is left of one that was cut does not say whom it selects.
        let spec = if self.cut { &nothing } else { &self.spec };
        let closed = || policy::closed(&identity.name, &Field::root("spec", spec));
        (identity.kind == Kind::NetworkPolicy).then(|| Object::NetworkPolicy(closed()))
    }
}

/// What `metadata` says besides the name.
struct Metadata {
    uid: String,
    /// Of the static pod that a mirror pod shows.
    static_uid: Option<Box<str>>,
    /// What the agent of a pod's node says that its addresses are.
    announced: Vec<IpAddr>,
    labels: Labels,
    created: u64,
    terminating: bool,
}

impl Metadata {
    fn decode(metadata: &Field<'_>) -> Result<Self, FieldError> {
        let created = metadata.get("creationTimestamp")?;
        let created = match created.optional_text()? {
            None => 0,
            Some(text) => timestamp::seconds(text)
                .ok_or_else(|| created.error(format!("{text:?} is not a time like 2026-11-22T17:00:00Z")))?,
        };
        let annotations = metadata.get("annotations")?;
        let uid = metadata.get("uid")?.optional_text()?.unwrap_or_default();
        let announced = annotations.get(announce::ANNOTATION)?.optional_text()?.unwrap_or_default();
        Ok(Self {
            uid: uid.to_owned(),
            static_uid: annotations.get(MIRROR)?.optional_text()?.map(Into::into),
            announced: announce::parse(announced, uid),
            labels: metadata.get("labels")?.strings()?.into_iter().collect(),
            created,
            terminating: metadata.get("deletionTimestamp")?.is_some(),
        })
    }
}

/// A name as Kubernetes has them (DNS subdomain, RFC 1123).
fn object_name<'a>(field: &Field<'a>) -> Result<&'a str, FieldError> {
    let name = field.text()?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if name.len() > 253 || !name.bytes().all(allowed) || !ends(name.bytes().next()) || !ends(name.bytes().last()) {
        return Err(
            field.error(format!("{name:?} is not a name: lower case letters, digits, '-' and '.', at most 253"))
        );
    }
    Ok(name)
}
