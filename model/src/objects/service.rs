//! Services (<https://kubernetes.io/docs/concepts/services-networking/service/>).

use std::{net::IpAddr, sync::Arc};

use super::{ObjectName, Protocol};

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `metadata.namespace` and `metadata.name`.
    pub name: ObjectName,
    /// `metadata.creationTimestamp` in seconds since 1970; 0 where there is none.
    pub created: u64,
    /// `spec.type`.
    pub kind: ServiceType,
    /// `spec.clusterIPs`, else `spec.clusterIP`; empty for a headless Service, an external name, and where none is given yet.
    pub cluster_ips: Vec<IpAddr>,
    /// `spec.clusterIP` is `None`: the Service has names only.
    pub headless: bool,
    /// `spec.ports`.
    pub ports: Vec<ServicePort>,
    /// `spec.sessionAffinity: ClientIP`: for how many seconds a client keeps its backend.
    pub affinity: Option<u32>,
    /// `spec.internalTrafficPolicy: Local`: backends of the client's own node only.
    pub local: bool,
    /// `spec.trafficDistribution`.
    pub distribution: Distribution,
    /// The label `service.kubernetes.io/service-proxy-name`: somebody else serves it.
    pub other_proxy: Option<Arc<str>>,
}

/// `spec.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ServiceType {
    /// The default.
    #[default]
    ClusterIp,
    /// With a port of every node.
    NodePort,
    /// With an address outside of the cluster.
    LoadBalancer,
    /// A name for a name; it has no address.
    ExternalName,
}

impl ServiceType {
    /// As Kubernetes writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName => "ExternalName",
        }
    }
}

/// `spec.trafficDistribution`: which backends are preferred where the slices bring no hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Distribution {
    /// Absent, or a word that has no meaning here.
    #[default]
    Any,
    /// `PreferSameZone`, or by its older name `PreferClose`.
    SameZone,
    /// `PreferSameNode`.
    SameNode,
}

/// One entry of `spec.ports`. Which port a backend listens on stands in its slice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServicePort {
    /// `name`; empty where there is none.
    pub name: Arc<str>,
    /// `port`.
    pub port: u16,
    /// `protocol`.
    pub protocol: Protocol,
}
