//! All objects of one moment.

use std::sync::Arc;

pub use imbl::ordmap::DiffItem;

use super::{EndpointSlice, Namespace, NetworkPolicy, Node, ObjectName, Pod, Service};

/// A map that is cheap to clone and to compare with its clones.
pub type Map<K, V> = imbl::OrdMap<K, V>;

/// All objects of one moment, by name. The maps are persistent: a clone shares everything with its original, what is
/// replaced in one copies the way to it, and two that share most of what they hold are compared in little time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Objects {
    /// By `metadata.name`.
    pub nodes: Map<Arc<str>, Arc<Node>>,
    /// By `metadata.name`.
    pub namespaces: Map<Arc<str>, Arc<Namespace>>,
    /// By namespace and name.
    pub pods: Map<ObjectName, Arc<Pod>>,
    /// By namespace and name.
    pub policies: Map<ObjectName, Arc<NetworkPolicy>>,
    /// By namespace and name.
    pub services: Map<ObjectName, Arc<Service>>,
    /// By namespace and name.
    pub endpoint_slices: Map<ObjectName, Arc<EndpointSlice>>,
}

impl Objects {
    /// The pods that are scheduled to a node.
    pub fn pods_on<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
        self.pods.values().filter(move |pod| pod.node.as_deref() == Some(node))
    }
}
