//! What operators ask.

use std::{
    sync::{Arc, PoisonError},
    time::SystemTime,
};

use axum::{
    Json,
    extract::{Path, State},
};
use ferrule_api::view::{Endpoint, Ip, Node, Pod, Sample, Source, Status};
use ferrule_kernel::bpf::{
    dump::{self, Row},
    metrics,
};
use ferrule_model::desired::{Forwarding, NodeEntry};
use ferrule_source::kubernetes::age;
use k8s_openapi::jiff::Timestamp;

use super::{App, Refusal};
use crate::{config::Routing, lease, lease::Lease};

pub(super) async fn status(State(app): State<Arc<App>>) -> Json<Status> {
    let state = Arc::clone(&app.controllers.state.borrow());
    let leases = app.controllers.attachments.leases();
    let (flows, flows_at_most) = app.controllers.flows.count().unwrap_or_default();
    let services = app.controllers.services.summary();
    let text = |items: &[_]| items.iter().map(ToString::to_string).collect();
    Json(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        node: app.controllers.config.node_name.clone(),
        ready: state.ready,
        waiting: state.waiting.clone(),
        source: source(&app),
        routing: match app.controllers.config.routing {
            Routing::Vxlan => "vxlan".into(),
            Routing::Native => "native".into(),
            Routing::Auto => "auto".into(),
        },
        mtu: state.mtu,
        pod_cidrs: state.pod_cidrs.iter().map(ToString::to_string).collect(),
        internal_ips: text(&state.internal_ips),
        encapsulation: state.encapsulation.clone(),
        devices: state.devices.clone(),
        other_devices: state.other_devices.clone(),
        endpoints: leases.len(),
        leased: leases.iter().map(|lease| lease.addresses.len()).sum(),
        resting: app.controllers.attachments.resting(),
        nodes: state.nodes.len(),
        remote_pods: state.remote_pods,
        policies: app.controllers.store.clone().snapshot().objects.policies.len(),
        policy_tables: app.controllers.policy.summary().0.tables,
        services: services.services,
        service_ports: services.ports,
        service_cgroup: app.controllers.services.cgroup().map(|path| path.display().to_string()),
        kube_proxy: app.controllers.services.is_beside_kube_proxy(),
        flows,
        flows_at_most,
        issues: state.issues.iter().map(ToString::to_string).collect(),
        errors: state.errors.iter().cloned().chain(app.listening.problems()).collect(),
    })
}

fn source(app: &App) -> Source {
    let synced = app.controllers.store.clone().snapshot().synced;
    let Some(server) = &app.server else {
        return Source { kind: "files".into(), synced, ..Source::default() };
    };
    let report = server.report();
    Source {
        kind: "kubernetes".into(),
        synced: report.synced,
        last_answer_seconds: report.answered.map(age),
        last_sync: report.synced_at.and_then(moment),
        problems: report.problems,
    }
}

/// As RFC 3339 has it, in UTC.
fn moment(at: SystemTime) -> Option<String> {
    let at = Timestamp::try_from(at).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Every pod that has a network, of all nodes, by namespace and name.
pub(super) async fn pods(State(app): State<Arc<App>>) -> Json<Vec<Pod>> {
    let objects = Arc::clone(&app.controllers.store.clone().snapshot().objects);
    let networked = objects.pods.values().filter(|pod| pod.is_networked() && !pod.ips.is_empty());
    Json(networked.map(|pod| shown(pod)).collect())
}

fn shown(pod: &ferrule_model::objects::Pod) -> Pod {
    Pod {
        namespace: pod.name.namespace.to_string(),
        name: pod.name.name.to_string(),
        node: pod.node.as_deref().map(str::to_owned),
        addresses: pod.ips.iter().map(ToString::to_string).collect(),
        announced: pod.announced,
    }
}

pub(super) async fn endpoints(State(app): State<Arc<App>>) -> Json<Vec<Endpoint>> {
    Json(
        app.controllers
            .attachments
            .leases()
            .iter()
            .map(|lease| endpoint(lease, &app.controllers.config.node_name))
            .collect(),
    )
}

fn endpoint(lease: &Lease, node: &str) -> Endpoint {
    Endpoint {
        index: lease.endpoint_index,
        pod: pod(lease),
        namespace: lease.pod.as_ref().map(|pod| pod.namespace.clone()),
        name: lease.pod.as_ref().map(|pod| pod.name.clone()),
        node: node.to_owned(),
        container_id: lease.id.container_id.clone(),
        ifname: lease.id.ifname.clone(),
        host_ifname: lease.host_ifname.clone(),
        ifindex: lease.host_ifindex,
        addresses: lease.addresses.iter().map(ToString::to_string).collect(),
        mac: lease.pod_mac.to_string(),
        mtu: lease.mtu,
        state: match lease.state {
            lease::State::Reserved => "reserved".into(),
            lease::State::Active => "active".into(),
        },
        netns: lease.netns.clone(),
        enforce_only: lease.enforce_only,
    }
}

fn pod(lease: &Lease) -> Option<String> {
    lease.pod.as_ref().map(|pod| format!("{}/{}", pod.namespace, pod.name))
}

pub(super) async fn nodes(State(app): State<Arc<App>>) -> Json<Vec<Node>> {
    let state = Arc::clone(&app.controllers.state.borrow());
    Json(state.nodes.iter().map(|(index, (name, entry))| node(*index, name, entry)).collect())
}

fn node(index: u32, name: &str, entry: &NodeEntry) -> Node {
    let both = |v4: Option<std::net::Ipv4Addr>, v6: Option<std::net::Ipv6Addr>| {
        v4.map(|ip| ip.to_string()).into_iter().chain(v6.map(|ip| ip.to_string())).collect()
    };
    Node {
        index,
        name: name.into(),
        forwarding: match entry.forwarding {
            Forwarding::Vxlan => "vxlan".into(),
            Forwarding::Native => "native".into(),
        },
        tunnel: entry.tunnel.map(|ip| ip.to_string()),
        source: entry.source.map(|ip| ip.to_string()),
        uplink: entry.uplink.map(|uplink| format!("{} by {}", uplink.next_hop, device(uplink.ifindex))),
        next_hops: both(entry.next_hop_v4, entry.next_hop_v6),
        internal_ips: both(entry.internal_v4, entry.internal_v6),
        mtu: entry.mtu,
    }
}

/// A device's name, or its interface index where it is gone.
fn device(ifindex: u32) -> String {
    nix::net::if_::if_indextoname(ifindex)
        .map_or_else(|_| ifindex.to_string(), |name| name.to_string_lossy().into_owned())
}

pub(super) async fn ips(State(app): State<Arc<App>>) -> Json<Vec<Ip>> {
    let mut leases = app.controllers.attachments.leases();
    leases.sort_by_key(|lease| lease.addresses.first().copied());
    let of = |lease: &Arc<Lease>| {
        let source = if lease.delegated { "delegated" } else { "pool" };
        let (pod, container_id) = (pod(lease), lease.id.container_id.clone());
        lease
            .addresses
            .iter()
            .map(|ip| Ip {
                address: ip.to_string(),
                pod: pod.clone(),
                container_id: container_id.clone(),
                source: source.into(),
            })
            .collect::<Vec<_>>()
    };
    Json(leases.iter().flat_map(of).collect())
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Json<Vec<Sample>>, Refusal> {
    Ok(Json(samples(&app)?))
}

/// Every counter of the programs that is not zero.
pub(super) fn samples(app: &App) -> Result<Vec<Sample>, Refusal> {
    let metrics = app.metrics.lock().unwrap_or_else(PoisonError::into_inner);
    let samples = metrics.samples().map_err(|error| Refusal::unreadable(&error))?;
    Ok(samples.into_iter().map(sample).collect())
}

fn sample(sample: metrics::Sample) -> Sample {
    Sample {
        program: sample.program.name().into(),
        dropped: sample.dropped,
        outcome: sample.outcome.into(),
        description: sample.description.into(),
        packets: sample.counter.packets,
        bytes: sample.counter.bytes,
    }
}

pub(super) async fn map(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Vec<Row>>, Refusal> {
    let pins = app.controllers.pins.clone();
    let rows = tokio::task::spawn_blocking(move || dump::dump(&pins, &name)).await;
    match rows {
        Ok(Ok(rows)) => Ok(Json(rows)),
        Ok(Err(error @ (dump::DumpError::Unknown(_) | dump::DumpError::Elsewhere(..)))) => {
            Err(Refusal::invalid(error.to_string()))
        }
        Ok(Err(error)) => Err(Refusal::unreadable(&error)),
        Err(error) => Err(Refusal::unreadable(&error)),
    }
}
