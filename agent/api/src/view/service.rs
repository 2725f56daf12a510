//! Services as operators see them.

use serde::{Deserialize, Serialize};

/// A Service with what its ports lead to on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// `namespace/name`.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`; `Headless` where it has names only.
    pub kind: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// For how many seconds a client keeps its backend.
    pub affinity: Option<u32>,
    /// `Cluster` or `Local`.
    pub internal_traffic_policy: String,
    /// Why this node does not serve it, where it does not.
    pub left_alone: Option<String>,
    /// Its ports, by address.
    pub ports: Vec<ServicePort>,
    /// What of it is not as its object says.
    pub issues: Vec<String>,
}

/// A port of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// `10.96.0.1:80`.
    pub frontend: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its name; empty where it has none.
    pub name: String,
    /// It is in the maps.
    pub in_force: bool,
    /// Who answers, and who does not now.
    pub backends: Vec<Backend>,
}

/// A backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// `10.1.0.7:8080`.
    pub backend: String,
    /// The node that it runs on, where that is known.
    pub node: Option<String>,
    /// `ready`, `serving, terminating`, `terminating` or `not ready`.
    pub state: String,
    /// New connections may get it.
    pub chosen: bool,
}
