//! Pods.

use ferrule_model::objects::{ContainerPort, ObjectName, Phase, Pod, Protocol};

use super::Metadata;
use crate::field::{Field, FieldError};

pub(super) fn decode(
    name: &ObjectName,
    metadata: Metadata,
    spec: &Field<'_>,
    status: &Field<'_>,
) -> Result<Pod, FieldError> {
    let mut ips = Vec::new();
    for entry in status.get("podIPs")?.list()? {
        ips.push(entry.get("ip")?.address()?);
    }
    let single = status.get("podIP")?;
    if ips.is_empty() && single.is_some() {
        ips.push(single.address()?);
    }
    let announced = ips.is_empty() && !metadata.announced.is_empty();
    if announced {
        ips = metadata.announced;
    }
    // There may be a hundred thousand pods, with an address each.
    ips.shrink_to_fit();
    Ok(Pod {
        name: name.clone(),
        uid: metadata.uid,
        static_uid: metadata.static_uid,
        announced,
        labels: metadata.labels,
        created: metadata.created,
        terminating: metadata.terminating,
        node: spec.get("nodeName")?.optional_text()?.filter(|node| !node.is_empty()).map(Into::into),
        host_network: spec.get("hostNetwork")?.flag()?,
        phase: phase(&status.get("phase")?)?,
        ips,
        ports: ports(spec)?,
    })
}

fn phase(field: &Field<'_>) -> Result<Phase, FieldError> {
    match field.optional_text()? {
        None | Some("Pending" | "") => Ok(Phase::Pending),
        Some("Running") => Ok(Phase::Running),
        Some("Succeeded") => Ok(Phase::Succeeded),
        Some("Failed") => Ok(Phase::Failed),
        Some("Unknown") => Ok(Phase::Unknown),
        Some(other) => {
            Err(field.error(format!("{other:?} is not a phase (Pending, Running, Succeeded, Failed, Unknown)")))
        }
    }
}

/// The ports of containers, and of init containers that go on running beside them (`restartPolicy: Always`).
fn ports(spec: &Field<'_>) -> Result<Vec<ContainerPort>, FieldError> {
    let mut containers = spec.get("containers")?.list()?;
    for container in spec.get("initContainers")?.list()? {
        if container.get("restartPolicy")?.optional_text()? == Some("Always") {
            containers.push(container);
        }
    }
    let mut ports = Vec::new();
    for container in containers {
        for port in container.get("ports")?.list()? {
            let number = port.get("containerPort")?;
            ports.push(ContainerPort {
                name: port.get("name")?.optional_text()?.unwrap_or_default().into(),
                port: number.optional_port()?.ok_or_else(|| number.error("is missing or not a number"))?,
                protocol: protocol(&port.get("protocol")?)?,
            });
        }
    }
    ports.shrink_to_fit();
    Ok(ports)
}

/// TCP where it is absent.
pub(super) fn protocol(field: &Field<'_>) -> Result<Protocol, FieldError> {
    match field.optional_text()? {
        None | Some("TCP") => Ok(Protocol::Tcp),
        Some("UDP") => Ok(Protocol::Udp),
        Some("SCTP") => Ok(Protocol::Sctp),
        Some(other) => Err(field.error(format!("{other:?} is not a protocol (TCP, UDP, SCTP)"))),
    }
}
