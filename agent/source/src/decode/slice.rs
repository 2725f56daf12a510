//! Endpoint slices.

use std::{net::IpAddr, sync::Arc};

use ferrule_model::{
    cidr::Family,
    objects::{EndpointSlice, ObjectName, SliceEndpoint, SlicePort},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::FieldError,
    metadata::Metadata,
    object::{Object, Raw},
    scalar::{Later, Maybe, Meaning, Needed, one_of},
    service::RawPort,
    shape::{List, Part},
};

/// Whose slice it is.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawSlice {
    metadata: Part<Metadata>,
    address_type: Needed<AddressType>,
    endpoints: List<Part<Endpoint>>,
    ports: List<Part<RawPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    addresses: List<Later<IpAddr>>,
    conditions: Part<Conditions>,
    node_name: Maybe<Arc<str>>,
    zone: Maybe<Arc<str>>,
    hints: Part<Hints>,
}

#[derive(Deserialize)]
struct Conditions {
    ready: Maybe<bool>,
    serving: Maybe<bool>,
    terminating: Maybe<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hints {
    for_zones: List<Part<Hint>>,
    for_nodes: List<Part<Hint>>,
}

#[derive(Deserialize)]
struct Hint {
    name: Needed<Arc<str>>,
}

impl Raw for RawSlice {
    fn metadata(&mut self) -> &mut Metadata {
        &mut self.metadata.0
    }

    fn object(self, name: ObjectName) -> Result<Object, FieldError> {
        let service = self.metadata.0.labels.0.get(SERVICE_NAME).filter(|service| !service.is_empty());
        let mut endpoints = Vec::new();
        if let AddressType(Some(family)) = self.address_type.0 {
            for (index, raw) in self.endpoints.parts().enumerate() {
                endpoints.push(endpoint(index, raw, family)?);
            }
        }
        // There may be tens of thousands.
        endpoints.shrink_to_fit();
        let port = |(name, port, protocol): (_, Maybe<u16>, _)| SlicePort { name, port: port.0, protocol };
        let (service, ports) =
            (service.map(|service| (**service).into()), self.ports.parts().map(RawPort::split).map(port).collect());
        Ok(Object::EndpointSlice(EndpointSlice { name, service, endpoints, ports }))
    }
}

fn endpoint(index: usize, raw: Endpoint, family: Family) -> Result<SliceEndpoint, FieldError> {
    let Conditions { ready, serving, terminating } = raw.conditions.0;
    let names = |hints: List<Part<Hint>>| hints.parts().map(|hint| hint.name.0).collect();
    Ok(SliceEndpoint {
        address: address(index, raw.addresses, family)?,
        ready: ready.0.unwrap_or(true),
        serving: serving.0.unwrap_or(true),
        terminating: terminating.0.unwrap_or(false),
        node: raw.node_name.0.filter(|node| !node.is_empty()),
        zone: raw.zone.0.filter(|zone| !zone.is_empty()),
        for_zones: names(raw.hints.0.for_zones),
        for_nodes: names(raw.hints.0.for_nodes),
    })
}

/// The first address; what is wrong with the others is told all the same.
fn address(endpoint: usize, list: List<Later<IpAddr>>, family: Family) -> Result<IpAddr, FieldError> {
    let mut first = None;
    for (index, address) in list.0.into_iter().enumerate() {
        let address = address.needed(format_args!("endpoints[{endpoint}].addresses[{index}]"))?;
        if Family::of(address) != family {
            let field = format_args!("endpoints[{endpoint}].addresses[{index}]");
            return Err(FieldError::new(field, format!("{address} is not of the slice's addressType")));
        }
        first = first.or(Some(address));
    }
    let field = format_args!("endpoints[{endpoint}].addresses");
    first.ok_or_else(|| FieldError::new(field, "is empty; an endpoint has an address"))
}

/// None for names instead of addresses.
#[derive(Clone, Copy)]
struct AddressType(Option<Family>);

impl Meaning for AddressType {
    fn of(value: Value) -> Result<Self, String> {
        let words = [("IPv4", Self(Some(Family::V4))), ("IPv6", Self(Some(Family::V6))), ("FQDN", Self(None))];
        one_of(value, "a type of address", &words)
    }
}
