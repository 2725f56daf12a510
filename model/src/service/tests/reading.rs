//! An independent reading of Services: no index, no difference, no number; what each frontend should lead to, straight
//! from the API's words.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::{
    objects::{Distribution, ObjectName, Objects, Protocol, Service, ServicePort, SliceEndpoint},
    service::Frontend,
};

pub(super) type Reading = BTreeMap<Frontend, (BTreeSet<(IpAddr, u16)>, Option<u32>)>;

pub(super) fn read(objects: &Objects, node: &str, hinted: bool) -> (Reading, BTreeSet<IpAddr>) {
    let zone = objects.nodes.get(node).and_then(|node| node.labels.get("topology.kubernetes.io/zone"));
    let (mut reading, mut addresses) = (Reading::new(), BTreeSet::new());
    for service in objects.services.values().filter(|service| service.other_proxy.is_none()) {
        for ip in &service.cluster_ips {
            if !is_node(objects, *ip) {
                addresses.insert(*ip);
            }
            if eldest(objects, *ip) != service.name {
                continue;
            }
            for port in service.ports.iter().filter(|port| port.protocol != Protocol::Sctp) {
                let frontend = Frontend { address: *ip, port: port.port, protocol: port.protocol };
                let backends = backends(objects, service, port, *ip, (node, zone), hinted);
                reading.insert(frontend, (backends, service.affinity));
            }
        }
    }
    (reading, addresses)
}

fn is_node(objects: &Objects, ip: IpAddr) -> bool {
    objects.nodes.values().any(|node| node.internal_ips.contains(&ip))
}

fn eldest(objects: &Objects, ip: IpAddr) -> ObjectName {
    let mut owners: Vec<&Service> = Vec::new();
    for service in objects.services.values() {
        if service.cluster_ips.contains(&ip) && service.other_proxy.is_none() {
            owners.push(service);
        }
    }
    owners.sort_by_key(|service| (service.created, service.name.clone()));
    owners[0].name.clone()
}

fn backends(
    objects: &Objects,
    service: &Service,
    port: &ServicePort,
    ip: IpAddr,
    (node, zone): (&str, Option<&str>),
    hinted: bool,
) -> BTreeSet<(IpAddr, u16)> {
    let best = endpoints(objects, service, port, ip, node);
    let local = |endpoint: &SliceEndpoint| endpoint.node.as_deref() == Some(node);
    let eligible: Vec<_> = best.into_iter().filter(|(_, endpoint)| !service.local || local(endpoint)).collect();
    let ready: Vec<_> = eligible.iter().copied().filter(|(_, endpoint)| endpoint.ready).collect();
    if ready.is_empty() {
        let ending = eligible.iter().filter(|(_, endpoint)| endpoint.terminating && endpoint.serving);
        return ending.map(|(who, _)| *who).collect();
    }
    if service.local {
        return ready.into_iter().map(|(who, _)| who).collect();
    }
    let only = |keep: &dyn Fn(&SliceEndpoint) -> bool| -> BTreeSet<(IpAddr, u16)> {
        ready.iter().filter(|(_, endpoint)| keep(endpoint)).map(|(who, _)| *who).collect()
    };
    let for_node = |endpoint: &SliceEndpoint| endpoint.for_nodes.iter().any(|hint| &**hint == node);
    let for_zone = |endpoint: &SliceEndpoint| endpoint.for_zones.iter().any(|hint| Some(&**hint) == zone);
    let in_zone = |endpoint: &SliceEndpoint| endpoint.zone.is_some() && endpoint.zone.as_deref() == zone;
    if ready.iter().all(|(_, endpoint)| !endpoint.for_nodes.is_empty()) && !only(&for_node).is_empty() {
        return only(&for_node);
    }
    if ready.iter().all(|(_, endpoint)| !endpoint.for_zones.is_empty()) && !only(&for_zone).is_empty() {
        return only(&for_zone);
    }
    let unhinted =
        !hinted && ready.iter().all(|(_, endpoint)| endpoint.for_nodes.is_empty() && endpoint.for_zones.is_empty());
    if unhinted && service.distribution == Distribution::SameNode && !only(&local).is_empty() {
        return only(&local);
    }
    if unhinted && service.distribution != Distribution::Any && !only(&in_zone).is_empty() {
        return only(&in_zone);
    }
    only(&|_| true)
}

/// Each (address, port) of a Service's port with the conditions of its best mention.
fn endpoints<'a>(
    objects: &'a Objects,
    service: &Service,
    port: &ServicePort,
    ip: IpAddr,
    node: &str,
) -> Vec<((IpAddr, u16), &'a SliceEndpoint)> {
    let mut mentions: Vec<((IpAddr, u16), &SliceEndpoint)> = Vec::new();
    for slice in objects.endpoint_slices.values() {
        if slice.name.namespace != service.name.namespace || slice.service.as_deref() != Some(&*service.name.name) {
            continue;
        }
        for named in &slice.ports {
            for endpoint in &slice.endpoints {
                let fits = endpoint.address.is_ipv4() == ip.is_ipv4();
                if fits && named.name == port.name && named.protocol == port.protocol {
                    mentions.push(((endpoint.address, named.port.unwrap_or(port.port)), endpoint));
                }
            }
        }
    }
    let better = |one: &SliceEndpoint, other: &SliceEndpoint| {
        let worth = |endpoint: &SliceEndpoint| {
            4 * u8::from(endpoint.ready)
                + 2 * u8::from(endpoint.serving)
                + u8::from(endpoint.node.as_deref() == Some(node))
        };
        worth(one) > worth(other)
    };
    let mut best: Vec<((IpAddr, u16), &SliceEndpoint)> = Vec::new();
    for (who, endpoint) in mentions {
        match best.iter_mut().find(|(other, _)| *other == who) {
            Some(found) if better(endpoint, found.1) => found.1 = endpoint,
            Some(_) => {}
            None => best.push((who, endpoint)),
        }
    }
    best
}

/// The UDP ports and backends that a socket may stay with: who still serves, chosen or not.
pub(super) fn stays(objects: &Objects, node: &str) -> BTreeSet<(Frontend, (IpAddr, u16))> {
    let mut found = BTreeSet::new();
    for service in objects.services.values().filter(|service| service.other_proxy.is_none()) {
        for ip in service.cluster_ips.iter().filter(|ip| eldest(objects, **ip) == service.name) {
            for port in service.ports.iter().filter(|port| port.protocol == Protocol::Udp) {
                let frontend = Frontend { address: *ip, port: port.port, protocol: port.protocol };
                let serving = endpoints(objects, service, port, *ip, node).into_iter();
                let serving = serving.filter(|(_, endpoint)| endpoint.ready || endpoint.serving);
                found.extend(serving.map(|(who, _)| (frontend, who)));
            }
        }
    }
    found
}
