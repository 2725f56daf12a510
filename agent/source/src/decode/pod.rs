//! Pods.

use std::{net::IpAddr, sync::Arc};

use ferrule_model::objects::{ContainerPort, ObjectName, Phase, Pod, Protocol};
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::FieldError,
    metadata::Metadata,
    object::{Object, Raw},
    scalar::{Later, Maybe, Meaning, Needed, one_of},
    shape::{List, Part},
};
use crate::announce;

#[derive(Deserialize)]
pub(super) struct RawPod {
    metadata: Part<Metadata>,
    spec: Part<Spec>,
    status: Part<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Maybe<Arc<str>>,
    host_network: Maybe<bool>,
    containers: List<Part<Container>>,
    init_containers: List<Part<InitContainer>>,
}

#[derive(Deserialize)]
struct Container {
    ports: List<Part<RawPort, ContainerPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InitContainer {
    ports: List<Part<RawPort, ContainerPort>>,
    restart_policy: Maybe<Arc<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPort {
    name: Maybe<Arc<str>>,
    container_port: Maybe<u16>,
    protocol: Maybe<Protocol>,
}

#[derive(Deserialize)]
struct Status {
    phase: Maybe<Phase>,
    #[serde(rename = "podIPs")]
    pod_ips: List<Part<PodIp>>,
    #[serde(rename = "podIP")]
    pod_ip: Later<IpAddr>,
}

#[derive(Deserialize)]
struct PodIp {
    ip: Needed<IpAddr>,
}

impl Raw for RawPod {
    fn metadata(&mut self) -> &mut Metadata {
        &mut self.metadata.0
    }

    fn object(self, name: ObjectName) -> Result<Object, FieldError> {
        let (metadata, spec, status) = (self.metadata.0, self.spec.0, self.status.0);
        let (created, annotations) = (metadata.created(), metadata.annotations.0);
        let uid = metadata.uid.0.unwrap_or_default();
        let mut ips: Vec<IpAddr> = status.pod_ips.parts().map(|one| one.ip.0).collect();
        if ips.is_empty() {
            ips.extend(status.pod_ip.get("status.podIP")?);
        }
        let mut announced = false;
        if ips.is_empty() {
            ips = announce::parse(&annotations.announced.0.unwrap_or_default(), &uid);
            announced = !ips.is_empty();
        }
        // Of containers, and of init containers that go on running beside them.
        let beside = spec.init_containers.parts().filter(|one| one.restart_policy.0.as_deref() == Some("Always"));
        let lists = spec.containers.parts().map(|one| one.ports).chain(beside.map(|one| one.ports));
        let mut ports: Vec<ContainerPort> = lists.flat_map(List::parts).collect();
        // There may be a hundred thousand pods, with an address each.
        ips.shrink_to_fit();
        ports.shrink_to_fit();
        Ok(Object::Pod(Pod {
            name,
            uid,
            static_uid: annotations.mirror.0.map(String::into_boxed_str),
            announced,
            labels: metadata.labels.labels(),
            created,
            terminating: metadata.deletion_timestamp.is_some(),
            node: spec.node_name.0.filter(|node| !node.is_empty()),
            host_network: spec.host_network.0.unwrap_or_default(),
            phase: status.phase.0.unwrap_or_default(),
            ips,
            ports,
        }))
    }
}

impl TryFrom<RawPort> for ContainerPort {
    type Error = FieldError;

    fn try_from(raw: RawPort) -> Result<Self, FieldError> {
        Ok(Self {
            name: raw.name.0.unwrap_or_default(),
            port: raw.container_port.port(".containerPort")?,
            protocol: raw.protocol.0.unwrap_or_default(),
        })
    }
}

impl Meaning for Phase {
    fn of(value: Value) -> Result<Self, String> {
        one_of(
            value,
            "a phase",
            &[
                ("", Self::Pending),
                ("Pending", Self::Pending),
                ("Running", Self::Running),
                ("Succeeded", Self::Succeeded),
                ("Failed", Self::Failed),
                ("Unknown", Self::Unknown),
            ],
        )
    }
}

impl Meaning for Protocol {
    fn of(value: Value) -> Result<Self, String> {
        one_of(value, "a protocol", &[("TCP", Self::Tcp), ("UDP", Self::Udp), ("SCTP", Self::Sctp)])
    }
}
