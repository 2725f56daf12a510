//! `/metrics`: the programs' counters and the node's figures in OpenMetrics text.

use std::sync::{Arc, atomic::AtomicU64};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use ferrule_common::layout;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{App, Refusal, inspect::samples};

type Labels = Vec<(String, String)>;

pub(super) async fn text(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let samples = samples(&app)?;
    let mut registry = Registry::with_prefix("ferrule");
    let packets = Family::<Labels, Counter>::default();
    let bytes = Family::<Labels, Counter>::default();
    for sample in samples {
        let labels: Labels = vec![
            ("program".into(), sample.program),
            ("outcome".into(), sample.outcome),
            ("dropped".into(), sample.dropped.to_string()),
        ];
        packets.get_or_create(&labels).inc_by(sample.packets);
        bytes.get_or_create(&labels).inc_by(sample.bytes);
    }
    registry.register("packets", "Packets by program and outcome", packets);
    registry.register("bytes", "Bytes by program and outcome, Ethernet headers included", bytes);

    let state = Arc::clone(&app.state.borrow());
    let leases = app.attachments.leases();
    let (flows, flows_at_most) = app.flows.count().unwrap_or_default();
    let (policy, took) = app.policy.summary();
    let (services, services_took) = app.services.summary();
    let fill = app.services.fill();
    let count = |flows: u64| usize::try_from(flows).unwrap_or(usize::MAX);
    let figures = [
        ("flows", "Flows of this node's pods", count(flows)),
        ("flows_max", "Flows that the connection table has room for", count(flows_at_most.into())),
        ("policy_tables", "Tables that policies are compiled to", policy.tables),
        ("policy_keys", "Keys of all tables", policy.keys),
        ("policy_classes", "Classes of peers that tables tell apart", policy.classes),
        ("policy_issues", "Policies and pods that are not in force as their objects say", app.policy.issues().len()),
        ("services", "Services that this node serves", services.services),
        ("service_ports", "Ports of Services' addresses", services.frontends),
        ("service_backends", "Entries for backends, those that are about to go included", services.backends),
        ("service_backends_max", "Backends that the map has room for", layout::BACKENDS as usize),
        ("service_members", "Backends that are looked for by address", services.members),
        ("service_members_max", "Backends that the map of members has room for", layout::MEMBERS as usize),
        ("service_sockets", "Entries for sockets that asked for a Service", fill.sockets),
        ("service_sockets_max", "Entries for sockets that the map has room for", layout::SOCKETS as usize),
        ("service_clients", "Clients that keep their backend", fill.clients),
        ("service_clients_max", "Clients that the map has room for", layout::AFFINITY as usize),
        ("service_issues", "What of Services is not as their objects say", app.services.issues().len()),
        ("ready", "Whether pods can be added", usize::from(state.ready)),
        ("endpoints", "Pods of this node", leases.len()),
        ("leased_addresses", "Addresses leased", leases.iter().map(|lease| lease.addresses.len()).sum()),
        ("nodes", "Other nodes", state.nodes.len()),
        ("remote_pods", "Known pods of other nodes", state.remote_pods),
        ("issues", "What is wrong with objects, files or the configuration", state.issues.len()),
        ("errors", "What the kernel refused in the last round", state.errors.len()),
    ];
    for (name, help, value) in figures {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }

    let last_change = Gauge::<f64, AtomicU64>::default();
    last_change.set(took.map_or(0.0, |took| took.as_secs_f64()));
    registry.register(
        "policy_last_change_seconds",
        "From the last changed objects to the last word in the maps",
        last_change,
    );

    let last_change = Gauge::<f64, AtomicU64>::default();
    last_change.set(services_took.map_or(0.0, |took| took.as_secs_f64()));
    registry.register(
        "service_last_change_seconds",
        "From the last changed objects of Services to the last write",
        last_change,
    );

    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    Ok(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}
