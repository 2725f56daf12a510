//! Services.

use std::{collections::BTreeSet, net::IpAddr};

use ferrule_model::objects::{Distribution, ObjectName, Service, ServicePort, ServiceType};

use super::{Metadata, pod::protocol};
use crate::field::{Field, FieldError};

/// Who serves a Service, where it is not the cluster's usual proxy.
const PROXY_NAME: &str = "service.kubernetes.io/service-proxy-name";
/// `sessionAffinityConfig.clientIP.timeoutSeconds` where it is absent, as the API server fills it in.
const AFFINITY_SECONDS: u32 = 10_800;
/// The longest that the API server accepts.
const MOST_AFFINITY_SECONDS: u32 = 86_400;

pub(super) fn decode(name: &ObjectName, metadata: &Metadata, spec: &Field<'_>) -> Result<Service, FieldError> {
    let kind = kind(&spec.get("type")?)?;
    let headless = is_headless(spec)?;
    let named_only = headless || kind == ServiceType::ExternalName;
    Ok(Service {
        name: name.clone(),
        created: metadata.created,
        kind,
        cluster_ips: if named_only { vec![] } else { cluster_ips(spec)? },
        headless,
        ports: ports(&spec.get("ports")?)?,
        affinity: affinity(spec)?,
        local: is_local(&spec.get("internalTrafficPolicy")?)?,
        distribution: match spec.get("trafficDistribution")?.optional_text()? {
            Some("PreferClose" | "PreferSameZone") => Distribution::SameZone,
            Some("PreferSameNode") => Distribution::SameNode,
            // A preference that is not known is none, as the API has it.
            _ => Distribution::Any,
        },
        other_proxy: metadata.labels.get(PROXY_NAME).map(Into::into),
    })
}

fn kind(field: &Field<'_>) -> Result<ServiceType, FieldError> {
    match field.optional_text()? {
        None | Some("" | "ClusterIP") => Ok(ServiceType::ClusterIp),
        Some("NodePort") => Ok(ServiceType::NodePort),
        Some("LoadBalancer") => Ok(ServiceType::LoadBalancer),
        Some("ExternalName") => Ok(ServiceType::ExternalName),
        Some(other) => Err(field
            .error(format!("{other:?} is not a type of Service (ClusterIP, NodePort, LoadBalancer, ExternalName)"))),
    }
}

fn is_headless(spec: &Field<'_>) -> Result<bool, FieldError> {
    let none = |field: &Field<'_>| Ok(field.optional_text()? == Some("None"));
    Ok(none(&spec.get("clusterIP")?)? || spec.get("clusterIPs")?.list()?.first().map_or(Ok(false), none)?)
}

fn cluster_ips(spec: &Field<'_>) -> Result<Vec<IpAddr>, FieldError> {
    let mut ips: Vec<IpAddr> = Vec::new();
    for field in spec.get("clusterIPs")?.list()? {
        let ip = field.address()?;
        if ips.iter().any(|other| other.is_ipv4() == ip.is_ipv4()) {
            return Err(field.error(format!("{ip} is the second of its family; a Service has one of each at most")));
        }
        ips.push(ip);
    }
    let single = spec.get("clusterIP")?;
    if ips.is_empty() && single.optional_text()?.is_some_and(|text| !text.is_empty()) {
        ips.push(single.address()?);
    }
    Ok(ips)
}

fn ports(list: &Field<'_>) -> Result<Vec<ServicePort>, FieldError> {
    let (mut ports, mut seen): (Vec<ServicePort>, _) = (Vec::new(), BTreeSet::new());
    for field in list.list()? {
        let number = field.get("port")?;
        let port = ServicePort {
            name: field.get("name")?.optional_text()?.unwrap_or_default().into(),
            port: number.optional_port()?.ok_or_else(|| number.error("is missing or not a number"))?,
            protocol: protocol(&field.get("protocol")?)?,
        };
        if !seen.insert((port.port, port.protocol)) {
            return Err(number.error(format!("{} stands twice with one protocol; remove one of them", port.port)));
        }
        ports.push(port);
    }
    Ok(ports)
}

fn affinity(spec: &Field<'_>) -> Result<Option<u32>, FieldError> {
    let field = spec.get("sessionAffinity")?;
    let seconds = spec.get("sessionAffinityConfig")?.get("clientIP")?.get("timeoutSeconds")?;
    match field.optional_text()? {
        None | Some("" | "None") => Ok(None),
        Some("ClientIP") => Ok(Some(seconds.optional_number(1, MOST_AFFINITY_SECONDS)?.unwrap_or(AFFINITY_SECONDS))),
        Some(other) => Err(field.error(format!("{other:?} is not an affinity (None, ClientIP)"))),
    }
}

fn is_local(field: &Field<'_>) -> Result<bool, FieldError> {
    match field.optional_text()? {
        None | Some("" | "Cluster") => Ok(false),
        Some("Local") => Ok(true),
        Some(other) => Err(field.error(format!("{other:?} is not a traffic policy (Cluster, Local)"))),
    }
}
