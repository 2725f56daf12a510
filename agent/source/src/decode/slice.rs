//! Endpoint slices.

use std::{net::IpAddr, sync::Arc};

use ferrule_model::{
    cidr::Family,
    objects::{EndpointSlice, ObjectName, SliceEndpoint, SlicePort},
};

use super::{Metadata, Parts, pod::protocol};
use crate::field::{Field, FieldError};

/// Whose slice it is.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

pub(super) fn decode(name: &ObjectName, metadata: &Metadata, parts: &Parts) -> Result<EndpointSlice, FieldError> {
    let mut endpoints = Vec::new();
    if let Some(family) = family(&Field::root("addressType", &parts.address_type))? {
        for field in Field::root("endpoints", &parts.endpoints).list()? {
            endpoints.push(endpoint(&field, family)?);
        }
    }
    // There may be tens of thousands.
    endpoints.shrink_to_fit();
    Ok(EndpointSlice {
        name: name.clone(),
        service: metadata.labels.get(SERVICE_NAME).filter(|service| !service.is_empty()).map(Into::into),
        endpoints,
        ports: Field::root("ports", &parts.ports).list()?.iter().map(port).collect::<Result<_, _>>()?,
    })
}

/// None for names instead of addresses.
fn family(field: &Field<'_>) -> Result<Option<Family>, FieldError> {
    match field.text()? {
        "IPv4" => Ok(Some(Family::V4)),
        "IPv6" => Ok(Some(Family::V6)),
        "FQDN" => Ok(None),
        other => Err(field.error(format!("{other:?} is not a type of address (IPv4, IPv6, FQDN)"))),
    }
}

fn endpoint(field: &Field<'_>, family: Family) -> Result<SliceEndpoint, FieldError> {
    let conditions = field.get("conditions")?;
    let condition = |name: &str, absent| Ok(conditions.get(name)?.optional_flag()?.unwrap_or(absent));
    let hints = field.get("hints")?;
    Ok(SliceEndpoint {
        address: address(&field.get("addresses")?, family)?,
        ready: condition("ready", true)?,
        serving: condition("serving", true)?,
        terminating: condition("terminating", false)?,
        node: name_in(field, "nodeName")?,
        zone: name_in(field, "zone")?,
        for_zones: names(&hints.get("forZones")?)?,
        for_nodes: names(&hints.get("forNodes")?)?,
    })
}

/// The first address; what is wrong with the others is told all the same.
fn address(list: &Field<'_>, family: Family) -> Result<IpAddr, FieldError> {
    let mut first = None;
    for field in list.list()? {
        let address = field.address()?;
        if Family::of(address) != family {
            return Err(field.error(format!("{address} is not of the slice's addressType")));
        }
        first = first.or(Some(address));
    }
    first.ok_or_else(|| list.error("is empty; an endpoint has an address"))
}

fn name_in(field: &Field<'_>, name: &str) -> Result<Option<Arc<str>>, FieldError> {
    Ok(field.get(name)?.optional_text()?.filter(|text| !text.is_empty()).map(Into::into))
}

fn names(list: &Field<'_>) -> Result<Vec<Arc<str>>, FieldError> {
    list.list()?.iter().map(|hint| Ok(hint.get("name")?.text()?.into())).collect()
}

fn port(field: &Field<'_>) -> Result<SlicePort, FieldError> {
    let number = field.get("port")?;
    let port = number.optional_port()?;
    if port.is_none() && number.is_some() {
        return Err(number.error("is not a number"));
    }
    let name = field.get("name")?.optional_text()?.unwrap_or_default().into();
    Ok(SlicePort { name, port, protocol: protocol(&field.get("protocol")?)? })
}
