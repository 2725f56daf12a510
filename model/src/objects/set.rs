//! All objects of one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{EndpointSlice, Namespace, NetworkPolicy, Node, ObjectName, Pod, Service};

/// All objects of one moment, by name. Cloning copies pointers, so that a source can replace one object and share the
/// rest with the snapshot before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// By `metadata.name`.
    pub nodes: BTreeMap<Arc<str>, Arc<Node>>,
    /// By `metadata.name`.
    pub namespaces: BTreeMap<Arc<str>, Arc<Namespace>>,
    /// By namespace and name.
    pub pods: BTreeMap<ObjectName, Arc<Pod>>,
    /// By namespace and name.
    pub policies: BTreeMap<ObjectName, Arc<NetworkPolicy>>,
    /// By namespace and name.
    pub services: BTreeMap<ObjectName, Arc<Service>>,
    /// By namespace and name.
    pub endpoint_slices: BTreeMap<ObjectName, Arc<EndpointSlice>>,
}

impl Objects {
    /// The pods that are scheduled to a node.
    pub fn pods_on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
        self.pods.values().filter(move |pod| pod.node.as_deref() == Some(node))
    }
}
