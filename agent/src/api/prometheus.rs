//! `/metrics`: the programs' counters and the node's figures.

use std::sync::{Arc, atomic::AtomicU64};

use axum::{
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use ferrule_common::layout;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{App, Refusal, exposition::Format, inspect::samples};

type Labels = Vec<(String, String)>;

pub(super) async fn text(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let mut registry = Registry::with_prefix("ferrule");
    packets(&app, &mut registry)?;
    maps(&app, &mut registry);
    figures(&app, &mut registry);
    source(&app, &mut registry);
    times(&app, &mut registry);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    let format = Format::of(&headers);
    Ok(([(CONTENT_TYPE, format.content_type())], format.write(text)).into_response())
}

fn packets(app: &App, registry: &mut Registry) -> Result<(), Refusal> {
    let packets = Family::<Labels, Counter>::default();
    let bytes = Family::<Labels, Counter>::default();
    for sample in samples(app)? {
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
    Ok(())
}

/// How full maps are, as far as that is known without reading the large ones.
fn maps(app: &App, registry: &mut Registry) {
    let state = Arc::clone(&app.state.borrow());
    let leases = app.attachments.leases();
    let (flows, flows_at_most) = app.flows.count().unwrap_or_default();
    let (policy, services, fill) = (app.policy.summary().0, app.services.summary(), app.services.fill());
    let remote = state.desired.as_ref().map(|desired| &desired.remote);
    let addresses: usize = leases.iter().map(|lease| lease.addresses.len()).sum();
    let flows = usize::try_from(flows).unwrap_or(usize::MAX);
    let known = [
        ("fr_conntrack", flows, flows_at_most),
        ("fr_endpoints", addresses, layout::ENDPOINTS),
        ("fr_links", leases.len(), layout::LINKS),
        ("fr_nodes", state.nodes.len(), layout::NODES),
        ("fr_peers", remote.map_or(0, |remote| remote.peers.len()), layout::PEERS),
        ("fr_routes", remote.map_or(0, |remote| remote.prefixes.len()), layout::ROUTES),
        ("fr_tables", policy.tables, layout::TABLES),
        ("fr_policy", policy.keys, layout::POLICY),
        ("fr_classes", policy.addresses, layout::CLASSES),
        ("fr_blocks", policy.blocks, layout::BLOCKS),
        ("fr_services", services.frontends, layout::SERVICES),
        ("fr_backends", services.backends, layout::BACKENDS),
        ("fr_svc_members", services.members, layout::MEMBERS),
        ("fr_svc_socks", fill.sockets, layout::SOCKETS),
        ("fr_affinity", fill.clients, layout::AFFINITY),
    ];
    let (entries, at_most) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    for (map, count, room) in known {
        let labels: Labels = vec![("map".into(), map.into())];
        entries.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        at_most.get_or_create(&labels).set(room.into());
    }
    registry.register("map_entries", "Entries of a map", entries);
    registry.register("map_max_entries", "Entries that a map has room for", at_most);
}

fn figures(app: &App, registry: &mut Registry) {
    let state = Arc::clone(&app.state.borrow());
    let leases = app.attachments.leases();
    let (policy, services) = (app.policy.summary().0, app.services.summary());
    let wrong = state.issues.iter().filter(|issue| issue.is_wrong()).count();
    let figures = [
        ("policy_classes", "Classes of peers that policies' tables tell apart", policy.classes),
        ("policy_issues", "Policies and pods that are not in force as their objects say", app.policy.issues().len()),
        ("services", "Services that this node serves", services.services),
        ("service_issues", "What of Services is not as their objects say", app.services.issues().len()),
        ("ready", "Whether pods can be added", usize::from(state.ready)),
        ("endpoints", "Pods of this node", leases.len()),
        ("leased_addresses", "Addresses leased", leases.iter().map(|lease| lease.addresses.len()).sum()),
        ("nodes", "Other nodes", state.nodes.len()),
        ("remote_pods", "Known pods of other nodes", state.remote_pods),
        ("issues", "What is wrong with objects, files or the configuration, policies and Services included", wrong),
        ("errors", "What the kernel refused in the last round", state.errors.len()),
    ];
    for (name, help, value) in figures {
        gauge(registry, name, help, value);
    }
    let version: Labels = vec![("version".into(), env!("CARGO_PKG_VERSION").into())];
    let build = Family::<Labels, Gauge>::default();
    build.get_or_create(&version).set(1);
    registry.register("build_info", "The agent's version", build);
}

/// How it stands with what the objects come from.
fn source(app: &App, registry: &mut Registry) {
    let synced = app.store.clone().snapshot().synced;
    gauge(registry, "source_synced", "Whether all of the source of objects was read once", usize::from(synced));
    let Some(cluster) = &app.cluster else { return };
    let report = cluster.health.report();
    let help = "Kinds of objects that the API server does not let be watched";
    gauge(registry, "source_problems", help, report.problems.len());
    let when = |at: Option<std::time::SystemTime>| {
        at.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0.0, |since| since.as_secs_f64())
    };
    for (name, help, at) in [
        ("source_last_answer_timestamp_seconds", "When the API server answered last; 0 where never", report.answered),
        (
            "source_last_sync_timestamp_seconds",
            "When objects were last brought up to date; 0 where never",
            report.synced_at,
        ),
    ] {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(when(at));
        registry.register(name, help, gauge);
    }
}

fn times(app: &App, registry: &mut Registry) {
    let times = &app.times;
    for (name, help, histogram) in [
        ("cni_add_duration_seconds", "From an ADD's first request to the pod in force", times.add.clone()),
        ("cni_del_duration_seconds", "From a DEL's request to the address given back", times.del.clone()),
        (
            "policy_in_force_duration_seconds",
            "From a change of objects that reached the agent to its policies in force",
            app.policy.in_force(),
        ),
        (
            "service_in_force_duration_seconds",
            "From a change of objects that reached the agent to its Services in force",
            app.services.in_force(),
        ),
    ] {
        registry.register(name, help, histogram);
    }
    registry.register("cni_failures", "Requests of the plugin that failed, by operation", times.failed.clone());
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}
