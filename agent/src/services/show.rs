//! Services as operators see them.

use std::collections::BTreeMap;

use ferrule_api::view;
use ferrule_model::{
    objects::{ObjectName, Objects, Protocol, Service, SliceEndpoint},
    service::{Backend, Frontend, Issue},
};

use super::Services;

impl Services {
    /// Every Service, or one.
    #[must_use]
    pub fn show(&self, only: Option<&ObjectName>) -> Vec<view::Service> {
        let objects = self.store.clone().snapshot().objects.clone();
        let issues = self.issues();
        let mut slices: BTreeMap<ObjectName, Vec<ObjectName>> = BTreeMap::new();
        for slice in objects.endpoint_slices.values() {
            let Some(service) = &slice.service else { continue };
            let service = ObjectName::new(slice.name.namespace.clone(), service.clone());
            if only.is_none_or(|only| *only == service) {
                slices.entry(service).or_default().push(slice.name.clone());
            }
        }
        let asked = objects.services.values().filter(|service| only.is_none_or(|only| *only == service.name));
        asked
            .map(|service| {
                let none = Vec::new();
                let slices = slices.get(&service.name).unwrap_or(&none);
                self.shown(&objects, service, slices, &issues)
            })
            .collect()
    }

    fn shown(&self, objects: &Objects, service: &Service, slices: &[ObjectName], issues: &[Issue]) -> view::Service {
        let kind = if service.headless { "Headless" } else { service.kind.name() };
        let own = issues.iter().filter(|issue| issue.service == service.name);
        view::Service {
            name: service.name.to_string(),
            kind: kind.into(),
            addresses: service.cluster_ips.iter().map(ToString::to_string).collect(),
            affinity: service.affinity,
            internal_traffic_policy: if service.local { "Local".into() } else { "Cluster".into() },
            left_alone: match (&service.other_proxy, service.cluster_ips.is_empty(), self.on) {
                (Some(proxy), ..) => Some(format!("{proxy} serves it")),
                (None, true, _) => Some("it has no address".into()),
                (None, false, false) => Some("Services are switched off".into()),
                (None, false, true) => None,
            },
            ports: self.ports(objects, service, slices),
            issues: own.map(|issue| issue.reason.to_string()).collect(),
        }
    }

    fn ports(&self, objects: &Objects, service: &Service, slices: &[ObjectName]) -> Vec<view::ServicePort> {
        let inner = self.lock();
        let mut ports = Vec::new();
        for address in &service.cluster_ips {
            for port in &service.ports {
                let frontend = Frontend { address: *address, port: port.port, protocol: port.protocol };
                let engine = inner.engine.as_ref().filter(|engine| engine.service_at(address) == Some(&service.name));
                let served = engine.and_then(|engine| engine.served(&frontend));
                let mut known: BTreeMap<Backend, &SliceEndpoint> = BTreeMap::new();
                for slice in slices.iter().filter_map(|name| objects.endpoint_slices.get(name)) {
                    let named = slice.ports.iter().filter(|one| one.name == port.name && one.protocol == port.protocol);
                    for listens in named.map(|one| one.port.unwrap_or(port.port)) {
                        let endpoints = slice.endpoints.iter().filter(|one| one.address.is_ipv4() == address.is_ipv4());
                        for endpoint in endpoints {
                            let backend = Backend { address: endpoint.address, port: listens };
                            let best = known.entry(backend).or_insert(endpoint);
                            if endpoint.ready && !best.ready {
                                *best = endpoint;
                            }
                        }
                    }
                }
                let chosen =
                    |backend: &Backend| served.is_some_and(|served| served.backends.binary_search(backend).is_ok());
                ports.push(view::ServicePort {
                    frontend: std::net::SocketAddr::new(*address, port.port).to_string(),
                    protocol: match port.protocol {
                        Protocol::Tcp => "TCP".into(),
                        Protocol::Udp => "UDP".into(),
                        Protocol::Sctp => "SCTP".into(),
                    },
                    name: port.name.to_string(),
                    in_force: served.is_some(),
                    backends: known.iter().map(|(backend, one)| shown_backend(backend, one, chosen(backend))).collect(),
                });
            }
        }
        ports
    }
}

fn shown_backend(backend: &Backend, endpoint: &SliceEndpoint, chosen: bool) -> view::Backend {
    let state = match (endpoint.ready, endpoint.serving, endpoint.terminating) {
        (true, ..) => "ready",
        (false, true, true) => "serving, terminating",
        (false, false, true) => "terminating",
        (false, _, false) => "not ready",
    };
    view::Backend {
        backend: std::net::SocketAddr::new(backend.address, backend.port).to_string(),
        node: endpoint.node.as_ref().map(ToString::to_string),
        state: state.into(),
        chosen,
    }
}
