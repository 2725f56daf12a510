//! Nodes and namespaces.

use std::{net::IpAddr, sync::Arc};

use ferrule_model::objects::{Namespace, Node, ObjectName};
use ipnetwork::IpNetwork;
use serde::Deserialize;

use super::{
    error::FieldError,
    metadata::Metadata,
    object::{Object, Raw},
    scalar::{Later, Needed},
    shape::{List, Part},
};

/// Nodes may be made with this taint, so that no pod comes before the agent
/// (<https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/>).
pub const START_TAINT: &str = "ferrule.dev/agent-not-ready";

#[derive(Deserialize)]
pub(super) struct RawNode {
    metadata: Part<Metadata>,
    spec: Part<Spec>,
    status: Part<Status>,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(rename = "podCIDRs")]
    pod_cidrs: List<Needed<IpNetwork>>,
    #[serde(rename = "podCIDR")]
    pod_cidr: Later<IpNetwork>,
    taints: List<Part<Taint>>,
}

#[derive(Deserialize)]
struct Taint {
    key: Needed<Arc<str>>,
}

#[derive(Deserialize)]
struct Status {
    addresses: List<Part<Address>>,
}

#[derive(Deserialize)]
struct Address {
    r#type: Needed<Arc<str>>,
    address: Later<IpAddr>,
}

impl Raw for RawNode {
    fn metadata(&mut self) -> &mut Metadata {
        &mut self.metadata.0
    }

    fn object(self, name: ObjectName) -> Result<Object, FieldError> {
        let (metadata, spec) = (self.metadata.0, self.spec.0);
        let mut pod_cidrs: Vec<IpNetwork> = spec.pod_cidrs.values().collect();
        if pod_cidrs.is_empty() {
            pod_cidrs.extend(spec.pod_cidr.get("spec.podCIDR")?);
        }
        let addresses = self.status.0.addresses.parts().enumerate();
        let internal_ips = addresses.filter(|(_, one)| &*one.r#type.0 == "InternalIP");
        let internal_ip =
            |(index, one): (usize, Address)| one.address.needed(format_args!("status.addresses[{index}].address"));
        Ok(Object::Node(Node {
            name: name.name,
            created: metadata.created(),
            labels: metadata.labels.labels(),
            pod_cidrs,
            internal_ips: internal_ips.map(internal_ip).collect::<Result<_, _>>()?,
            start_taint: spec.taints.parts().any(|taint| &*taint.key.0 == START_TAINT),
        }))
    }
}

#[derive(Deserialize)]
pub(super) struct RawNamespace {
    metadata: Part<Metadata>,
}

impl Raw for RawNamespace {
    fn metadata(&mut self) -> &mut Metadata {
        &mut self.metadata.0
    }

    fn object(self, name: ObjectName) -> Result<Object, FieldError> {
        Ok(Object::Namespace(Namespace { name: name.name, labels: self.metadata.0.labels.labels() }))
    }
}
