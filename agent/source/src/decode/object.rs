//! An object of the model, and one as it is written.

use ferrule_model::objects::{EndpointSlice, Namespace, NetworkPolicy, Node, ObjectName, Pod, Service};
use serde::Deserialize;

use super::{error::FieldError, metadata::Metadata};

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

/// An object of a kind as it is written.
pub(super) trait Raw: for<'de> Deserialize<'de> {
    fn metadata(&mut self) -> &mut Metadata;
    fn object(self, name: ObjectName) -> Result<Object, FieldError>;
}
