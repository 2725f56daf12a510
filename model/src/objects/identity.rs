//! Which object something is about.

use std::{fmt, sync::Arc};

use super::ObjectName;

/// The kinds in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1` Node.
    Node,
    /// `v1` Namespace.
    Namespace,
    /// `v1` Pod.
    Pod,
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Node, Self::Namespace, Self::Pod, Self::NetworkPolicy, Self::Service, Self::EndpointSlice];

    /// The kind of these names, where it is in use.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.api_version() == api_version && one.name() == kind)
    }

    /// `apiVersion`, as objects of the kind have it.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::Node | Self::Namespace | Self::Pod | Self::Service => "v1",
            Self::NetworkPolicy => "networking.k8s.io/v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
        }
    }

    /// `kind`, as objects of the kind have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "Node",
            Self::Namespace => "Namespace",
            Self::Pod => "Pod",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
        }
    }
}

/// Which object it is. Shown as `Pod default/web-0` or `Node a`. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Its kind.
    pub kind: Kind,
    /// Its name; the namespace of a cluster-scoped object is empty.
    pub name: ObjectName,
}

impl Identity {
    /// An object that has a namespace.
    #[must_use]
    pub fn new(kind: Kind, name: &ObjectName) -> Self {
        Self { kind, name: name.clone() }
    }

    /// An object that has none.
    pub fn cluster_scoped(kind: Kind, name: impl Into<Arc<str>>) -> Self {
        Self { kind, name: ObjectName::new("", name) }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.namespace.is_empty() {
            write!(f, "{} {}", self.kind.name(), self.name.name)
        } else {
            write!(f, "{} {}", self.kind.name(), self.name)
        }
    }
}
