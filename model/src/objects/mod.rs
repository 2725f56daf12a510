//! Kubernetes objects as the rest of the model sees them: only the fields in use, decoded and checked by a source.

mod identity;
mod node;
mod pod;
mod policy;
mod service;
mod set;
mod slice;

use std::sync::Arc;

pub use identity::{Identity, Kind};
pub use node::{Namespace, Node};
pub use pod::{ContainerPort, Phase, Pod, Protocol};
pub use policy::{Direction, IpBlock, NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule, PortMatch};
pub use service::{Distribution, Service, ServicePort, ServiceType};
pub use set::{DiffItem, Map, Objects};
pub use slice::{EndpointSlice, SliceEndpoint, SlicePort};

/// The name of a namespaced object; shown as `namespace/name`. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// `metadata.namespace`.
    pub namespace: Arc<str>,
    /// `metadata.name`.
    pub name: Arc<str>,
}

impl ObjectName {
    /// From any kind of string.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
