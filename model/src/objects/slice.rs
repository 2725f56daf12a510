//! `discovery.k8s.io/v1` EndpointSlice
//! (<https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/>).

use std::{net::IpAddr, sync::Arc};

use super::{ObjectName, Protocol};

/// A part of a Service's backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// `metadata.namespace` and `metadata.name`.
    pub name: ObjectName,
    /// The label `kubernetes.io/service-name`; none where the slice is nobody's.
    pub service: Option<Arc<str>>,
    /// `endpoints`; empty where `addressType` is FQDN, which no proxy serves.
    pub endpoints: Vec<SliceEndpoint>,
    /// `ports`.
    pub ports: Vec<SlicePort>,
}

/// One entry of `endpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// The first of `addresses`: the others have no meaning.
    pub address: IpAddr,
    /// `conditions.ready`; true where it is absent.
    pub ready: bool,
    /// `conditions.serving`; true where it is absent.
    pub serving: bool,
    /// `conditions.terminating`; false where it is absent.
    pub terminating: bool,
    /// `nodeName`.
    pub node: Option<Arc<str>>,
    /// `zone`.
    pub zone: Option<Arc<str>>,
    /// `hints.forZones[*].name`.
    pub for_zones: Vec<Arc<str>>,
    /// `hints.forNodes[*].name`.
    pub for_nodes: Vec<Arc<str>>,
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// `name`: the Service's port of this name is meant; empty where there is none.
    pub name: Arc<str>,
    /// `port`; none where the backends listen on whatever port the Service has.
    pub port: Option<u16>,
    /// `protocol`.
    pub protocol: Protocol,
}
