//! Services.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ferrule_model::objects::{Distribution, ObjectName, Protocol, Service, ServicePort, ServiceType};
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::FieldError,
    metadata::Metadata,
    object::{Object, Raw},
    scalar::{Later, Maybe, Meaning, excerpt, one_of},
    shape::{List, Part},
};

/// Who serves a Service, where it is not the cluster's usual proxy.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// `sessionAffinityConfig.clientIP.timeoutSeconds` where it is absent, as the API server fills it in.
const AFFINITY_SECONDS: u32 = 10_800;
/// The longest that the API server accepts.
const MOST_AFFINITY_SECONDS: u32 = 86_400;

#[derive(Deserialize)]
pub(super) struct RawService {
    metadata: Part<Metadata>,
    spec: Part<Spec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    r#type: Maybe<ServiceType>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Maybe<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: List<Maybe<String>>,
    ports: List<Part<RawPort>>,
    session_affinity: Maybe<String>,
    session_affinity_config: Part<AffinityConfig>,
    internal_traffic_policy: Maybe<String>,
    traffic_distribution: Maybe<String>,
}

/// Of a Service, and of a slice.
#[derive(Deserialize)]
pub(super) struct RawPort {
    name: Maybe<Arc<str>>,
    port: Maybe<u16>,
    protocol: Maybe<Protocol>,
}

impl RawPort {
    /// Name, port and protocol.
    pub(super) fn split(self) -> (Arc<str>, Maybe<u16>, Protocol) {
        (self.name.0.unwrap_or_default(), self.port, self.protocol.0.unwrap_or_default())
    }
}

#[derive(Deserialize)]
struct AffinityConfig {
    #[serde(rename = "clientIP")]
    client_ip: Part<ClientIp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientIp {
    timeout_seconds: Later<Seconds>,
}

impl Raw for RawService {
    fn metadata(&mut self) -> &mut Metadata {
        &mut self.metadata.0
    }

    fn object(self, name: ObjectName) -> Result<Object, FieldError> {
        let (metadata, spec) = (self.metadata.0, self.spec.0);
        let kind = spec.r#type.0.unwrap_or_default();
        let (single, list) = (spec.cluster_ip.0, spec.cluster_ips.0);
        let first = list.first().and_then(|first| first.0.as_deref());
        let headless = [single.as_deref(), first].contains(&Some("None"));
        let named_only = headless || kind == ServiceType::ExternalName;
        let seconds = spec.session_affinity_config.0.client_ip.0.timeout_seconds;
        let bad = |field, word, what| Err(FieldError::new(field, format!("{word:?} is not {what}")));
        Ok(Object::Service(Service {
            name,
            created: metadata.created(),
            kind,
            cluster_ips: if named_only { vec![] } else { cluster_ips(single, list)? },
            headless,
            ports: ports(spec.ports)?,
            affinity: match spec.session_affinity.0.as_deref() {
                None | Some("" | "None") => None,
                Some("ClientIP") => {
                    let seconds = seconds.get("spec.sessionAffinityConfig.clientIP.timeoutSeconds")?;
                    Some(seconds.map_or(AFFINITY_SECONDS, |Seconds(seconds)| seconds))
                }
                Some(other) => return bad("spec.sessionAffinity", other, "an affinity (None, ClientIP)"),
            },
            local: match spec.internal_traffic_policy.0.as_deref() {
                None | Some("" | "Cluster") => false,
                Some("Local") => true,
                Some(other) => {
                    return bad("spec.internalTrafficPolicy", other, "a traffic policy (Cluster, Local)");
                }
            },
            distribution: match spec.traffic_distribution.0.as_deref() {
                Some("PreferClose" | "PreferSameZone") => Distribution::SameZone,
                Some("PreferSameNode") => Distribution::SameNode,
                // A preference that is not known is none, as the API has it.
                _ => Distribution::Any,
            },
            other_proxy: metadata.labels.0.get(PROXY_NAME).map(|name| (**name).into()),
        }))
    }
}

fn cluster_ips(single: Option<String>, list: Vec<Maybe<String>>) -> Result<Vec<IpAddr>, FieldError> {
    let mut ips: Vec<IpAddr> = Vec::new();
    for (index, text) in list.into_iter().enumerate() {
        let failed = |message| FieldError::new(format!("spec.clusterIPs[{index}]"), message);
        let ip = IpAddr::of(text.0.unwrap_or_default().into()).map_err(failed)?;
        if ips.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
            return Err(failed(format!("{ip} is the second of its family; a Service has one of each at most")));
        }
        ips.push(ip);
    }
    if ips.is_empty()
        && let Some(text) = single.filter(|text| !text.is_empty())
    {
        ips.push(IpAddr::of(text.into()).map_err(|message| FieldError::new("spec.clusterIP", message))?);
    }
    Ok(ips)
}

fn ports(list: List<Part<RawPort>>) -> Result<Vec<ServicePort>, FieldError> {
    let (mut ports, mut seen) = (Vec::new(), BTreeSet::new());
    for (index, raw) in list.parts().enumerate() {
        let field = format_args!("spec.ports[{index}].port");
        let (name, port, protocol) = raw.split();
        let port = port.port(field)?;
        if !seen.insert((port, protocol)) {
            let words = format!("{port} stands twice with one protocol; remove one of them");
            return Err(FieldError::new(field, words));
        }
        ports.push(ServicePort { name, port, protocol });
    }
    Ok(ports)
}

impl Meaning for ServiceType {
    fn of(value: Value) -> Result<Self, String> {
        one_of(
            value,
            "a type of Service",
            &[
                ("", Self::ClusterIp),
                ("ClusterIP", Self::ClusterIp),
                ("NodePort", Self::NodePort),
                ("LoadBalancer", Self::LoadBalancer),
                ("ExternalName", Self::ExternalName),
            ],
        )
    }
}

struct Seconds(u32);

impl Meaning for Seconds {
    fn of(value: Value) -> Result<Self, String> {
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (1..=MOST_AFFINITY_SECONDS).contains(number));
        number.map(Self).ok_or_else(|| format!("{} is not between 1 and {MOST_AFFINITY_SECONDS}", excerpt(&value)))
    }
}
