//! Which endpoints of its slices a Service's port leads to, as kube-proxy chooses them
//! (<https://kubernetes.io/docs/reference/networking/virtual-ips/>).

use std::{collections::BTreeMap, sync::Arc};

use super::Backend;
use crate::{
    cidr::Family,
    objects::{Distribution, EndpointSlice, Service, ServicePort, SliceEndpoint},
};

/// Where the client is: this node.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its name.
    pub node: &'a str,
    /// Its label `topology.kubernetes.io/zone`.
    pub zone: Option<&'a str>,
    /// Whether somebody writes hints into slices, as a cluster's controller does: where there are none they are withheld.
    pub hinted: bool,
}

/// The endpoints of one port in one family.
#[derive(Debug)]
pub struct Endpoints<'a>(BTreeMap<Backend, &'a SliceEndpoint>);

impl<'a> Endpoints<'a> {
    /// Of `slices`, which are all of the Service's.
    #[must_use]
    pub fn new(
        port: &ServicePort,
        family: Family,
        slices: impl Iterator<Item = &'a EndpointSlice>,
        place: Place<'_>,
    ) -> Self {
        Self(merged(port, family, slices, place))
    }

    /// Those that connections may get, sorted.
    #[must_use]
    pub fn chosen(&self, service: &Service, place: Place<'_>) -> Arc<[Backend]> {
        let here = |endpoint: &SliceEndpoint| !service.local || is_on(endpoint, place.node);
        let ready: Vec<&SliceEndpoint> = self.0.values().copied().filter(|endpoint| endpoint.ready).collect();
        let near = if service.local { Nearness::Any } else { nearness(&ready, service.distribution, place) };
        let found = self.that(|endpoint| endpoint.ready && here(endpoint) && near.allows(endpoint, place));
        if !found.is_empty() {
            return found;
        }
        // Better than none: those that end and still serve.
        self.that(|endpoint| endpoint.serving && endpoint.terminating && here(endpoint))
    }

    /// Those that answer who is with them already, sorted: all that are chosen, and others.
    #[must_use]
    pub fn serving(&self) -> Arc<[Backend]> {
        self.that(|endpoint| endpoint.ready || endpoint.serving)
    }

    fn that(&self, pick: impl Fn(&SliceEndpoint) -> bool) -> Arc<[Backend]> {
        self.0.iter().filter(|(_, endpoint)| pick(endpoint)).map(|(backend, _)| *backend).collect()
    }
}

/// The endpoints of all slices, each once: of an endpoint on its way between two slices the better one counts.
fn merged<'a>(
    port: &ServicePort,
    family: Family,
    slices: impl Iterator<Item = &'a EndpointSlice>,
    place: Place<'_>,
) -> BTreeMap<Backend, &'a SliceEndpoint> {
    let rank = |endpoint: &SliceEndpoint| (endpoint.ready, endpoint.serving, is_on(endpoint, place.node));
    let mut all: BTreeMap<Backend, &SliceEndpoint> = BTreeMap::new();
    for slice in slices {
        for named in slice.ports.iter().filter(|one| one.name == port.name && one.protocol == port.protocol) {
            for endpoint in slice.endpoints.iter().filter(|endpoint| Family::of(endpoint.address) == family) {
                let backend = Backend { address: endpoint.address, port: named.port.unwrap_or(port.port) };
                let best = all.entry(backend).or_insert(endpoint);
                if rank(endpoint) > rank(best) {
                    *best = endpoint;
                }
            }
        }
    }
    all
}

/// Which ready endpoints are preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nearness {
    Any,
    HintedNode,
    HintedZone,
    Node,
    Zone,
}

impl Nearness {
    fn allows(self, endpoint: &SliceEndpoint, place: Place<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::HintedNode => has(&endpoint.for_nodes, Some(place.node)),
            Self::HintedZone => has(&endpoint.for_zones, place.zone),
            Self::Node => is_on(endpoint, place.node),
            Self::Zone => is_in(endpoint, place.zone),
        }
    }
}

/// Hints count where every ready endpoint has them and one is for this place, those for nodes before those for zones.
/// Where nobody writes hints, as in files, and there are none, `trafficDistribution` itself is followed.
fn nearness(ready: &[&SliceEndpoint], distribution: Distribution, place: Place<'_>) -> Nearness {
    let all_hint = |hints: fn(&SliceEndpoint) -> &[Arc<str>], here: Option<&str>| {
        ready.iter().all(|endpoint| !hints(endpoint).is_empty())
            && ready.iter().any(|endpoint| has(hints(endpoint), here))
    };
    if all_hint(|endpoint| &endpoint.for_nodes, Some(place.node)) {
        return Nearness::HintedNode;
    }
    if all_hint(|endpoint| &endpoint.for_zones, place.zone) {
        return Nearness::HintedZone;
    }
    if place.hinted || ready.iter().any(|endpoint| !endpoint.for_zones.is_empty() || !endpoint.for_nodes.is_empty()) {
        return Nearness::Any;
    }
    let wanted: &[Nearness] = match distribution {
        Distribution::Any => &[],
        Distribution::SameZone => &[Nearness::Zone],
        Distribution::SameNode => &[Nearness::Node, Nearness::Zone],
    };
    let possible = |near: &&Nearness| ready.iter().any(|endpoint| near.allows(endpoint, place));
    wanted.iter().find(possible).copied().unwrap_or(Nearness::Any)
}

fn has(hints: &[Arc<str>], here: Option<&str>) -> bool {
    hints.iter().any(|hint| Some(&**hint) == here)
}

fn is_on(endpoint: &SliceEndpoint, node: &str) -> bool {
    endpoint.node.as_deref() == Some(node)
}

fn is_in(endpoint: &SliceEndpoint, zone: Option<&str>) -> bool {
    zone.is_some() && endpoint.zone.as_deref() == zone
}
