//! `/metrics`: the programs' counters and the node's figures.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use ferrule_api::view::Sample;
use ferrule_common::{layout, owner::Owner};
use ferrule_kernel::bpf::policy_maps::Count;
use ferrule_model::{policy, service};
use ferrule_source::kubernetes::Report;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::{App, Refusal, exposition::Format, inspect::samples};
use crate::state::NodeState;

type Labels = Vec<(String, String)>;

pub(super) async fn text(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let text = Figures::of(&app)?.text();
    let format = Format::of(&headers);
    Ok(([(CONTENT_TYPE, format.content_type())], format.write(text)).into_response())
}

/// How long what was told is told again.
const FRESH: Duration = Duration::from_secs(1);

pub(super) async fn recent(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Refusal> {
    let text = app.recent.get(FRESH, || Figures::of(&app).map(|figures| figures.text()))?;
    let format = Format::of(&headers);
    Ok(([(CONTENT_TYPE, format.content_type())], format.write(text)).into_response())
}

/// All that is told, apart from the agent it is of, so that a test can tell it without one.
struct Figures {
    samples: Vec<Sample>,
    state: Arc<NodeState>,
    leases: usize,
    addresses: usize,
    /// Flows, and the room for them.
    flows: (u64, u32),
    refused_flows: u64,
    policy: policy::Summary,
    /// What the kernel holds of policies.
    held: Count,
    policy_issues: usize,
    services: service::Summary,
    service_issues: usize,
    sockets: Owner,
    /// Addresses of `listen` that cannot be listened on, and connections that were closed.
    unheard: usize,
    closed: u64,
    synced: bool,
    /// None where the API server is not the source.
    report: Option<Report>,
    adds: Histogram,
    dels: Histogram,
    failed: Family<Labels, Counter>,
    policies_in_force: Histogram,
    services_in_force: Histogram,
}

impl Figures {
    fn of(app: &App) -> Result<Self, Refusal> {
        let leases = app.controllers.attachments.leases();
        Ok(Self {
            samples: samples(app)?,
            state: Arc::clone(&app.controllers.state.borrow()),
            leases: leases.len(),
            addresses: leases.iter().map(|lease| lease.addresses.len()).sum(),
            flows: app.controllers.flows.count().unwrap_or_default(),
            refused_flows: app.controllers.flows.refused().unwrap_or_default(),
            policy: app.controllers.policy.summary().0,
            held: app.controllers.policy.held(),
            policy_issues: app.controllers.policy.issues().len(),
            services: app.controllers.services.summary(),
            service_issues: app.controllers.services.issues().len(),
            sockets: app.controllers.services.held(),
            unheard: app.listening.problems().len(),
            closed: app.listening.closed.load(Relaxed),
            synced: app.controllers.store.clone().snapshot().synced,
            report: app.server.as_ref().map(|server| server.report()),
            adds: app.times.add.clone(),
            dels: app.times.del.clone(),
            failed: app.times.failed.clone(),
            policies_in_force: app.controllers.policy.in_force(),
            services_in_force: app.controllers.services.in_force(),
        })
    }

    /// As OpenMetrics.
    fn text(&self) -> String {
        let mut registry = Registry::with_prefix("ferrule");
        packets(&self.samples, &mut registry);
        maps(self, &mut registry);
        refused(self, &mut registry);
        figures(self, &mut registry);
        source(self, &mut registry);
        times(self, &mut registry);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

fn packets(samples: &[Sample], registry: &mut Registry) {
    let packets = Family::<Labels, Counter>::default();
    let bytes = Family::<Labels, Counter>::default();
    for sample in samples {
        let labels: Labels = vec![
            ("program".into(), sample.program.clone()),
            ("outcome".into(), sample.outcome.clone()),
            ("dropped".into(), sample.dropped.to_string()),
        ];
        packets.get_or_create(&labels).inc_by(sample.packets);
        bytes.get_or_create(&labels).inc_by(sample.bytes);
    }
    registry.register("packets", "Packets by program and outcome", packets);
    registry.register("bytes", "Bytes by program and outcome, Ethernet headers included", bytes);
}

/// How full maps are, as far as that is known without reading the large ones.
fn maps(told: &Figures, registry: &mut Registry) {
    let Figures { state, leases, addresses, flows: (flows, flows_at_most), held, services, sockets, .. } = told;
    let remote = state.desired.as_ref().map(|desired| &desired.remote);
    let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let flows = whole(*flows);
    let known = [
        ("fr_conntrack", flows, *flows_at_most),
        ("fr_endpoints", *addresses, layout::ENDPOINTS),
        ("fr_links", *leases, layout::LINKS),
        ("fr_nodes", state.nodes.len(), layout::NODES),
        ("fr_peers", remote.map_or(0, |remote| remote.peers.len()), layout::PEERS),
        ("fr_routes", remote.map_or(0, |remote| remote.prefixes.len()), layout::ROUTES),
        // As much as one agent takes of them, and beside it for a while what was before.
        ("fr_tables", held.tables, crate::policy::TABLES),
        ("fr_policy", held.keys, crate::policy::KEYS),
        ("fr_classes", held.classes, crate::policy::CLASSES),
        ("fr_blocks", held.blocks, crate::policy::BLOCKS),
        ("fr_services", services.frontends, layout::SERVICES),
        ("fr_backends", services.backends, layout::BACKENDS),
        ("fr_svc_members", services.members, layout::MEMBERS),
        ("fr_svc_socks", whole(sockets.sockets), layout::SOCKETS),
        ("fr_svc_tcp", whole(sockets.streams), layout::STREAMS),
        ("fr_affinity", whole(sockets.clients), layout::AFFINITY),
    ];
    let (entries, at_most) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    for (map, count, room) in known {
        let labels: Labels = vec![("map".into(), map.into())];
        entries.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        at_most.get_or_create(&labels).set(room.into());
    }
    registry.register("map_entries", "Entries of a map", entries);
    registry.register("map_max_entries", "Entries that a map has room for", at_most);
    let refused = Counter::<u64>::default();
    refused.inc_by(told.refused_flows);
    registry.register("conntrack_refused", "Connections that found no room in the connection table", refused);
}

/// What sockets and clients were refused: each a socket that sees its backend, or a client that keeps none.
fn refused(told: &Figures, registry: &mut Registry) {
    let refused = Counter::<u64>::default();
    refused.inc_by(told.sockets.refused);
    registry.register(
        "service_entries_refused",
        "Entries for sockets and clients of Services that were refused",
        refused,
    );
}

fn figures(told: &Figures, registry: &mut Registry) {
    let Figures { state, leases, addresses, policy, policy_issues, services, service_issues, .. } = told;
    let wrong = state.issues.iter().filter(|issue| issue.is_wrong()).count();
    let figures = [
        ("policy_classes", "Classes of peers that policies' tables tell apart", policy.classes),
        ("policy_stuck", "Directions of pods whose policies are not in force as they are written", policy.stuck),
        ("policy_issues", "Policies and pods that are not in force as their objects say", *policy_issues),
        ("services", "Services that this node serves", services.services),
        ("service_issues", "What of Services is not as their objects say", *service_issues),
        ("ready", "Whether pods can be added", usize::from(state.ready)),
        ("endpoints", "Pods of this node", *leases),
        ("leased_addresses", "Addresses leased", *addresses),
        ("nodes", "Other nodes", state.nodes.len()),
        ("remote_pods", "Known pods of other nodes", state.remote_pods),
        ("issues", "What is wrong with objects, files or the configuration, policies and Services included", wrong),
        ("errors", "What the kernel refused in the last round", state.errors.len()),
        ("listen_problems", "Addresses of the setting listen that cannot be listened on", told.unheard),
    ];
    for (name, help, value) in figures {
        gauge(registry, name, help, value);
    }
    let closed = Counter::<u64>::default();
    closed.inc_by(told.closed);
    let help = "Connections that were closed since their client had too many or took too long";
    registry.register("listen_closed_connections", help, closed);
    let version: Labels = vec![("version".into(), env!("CARGO_PKG_VERSION").into())];
    let build = Family::<Labels, Gauge>::default();
    build.get_or_create(&version).set(1);
    registry.register("build_info", "The agent's version", build);
}

/// How it stands with what the objects come from.
fn source(told: &Figures, registry: &mut Registry) {
    gauge(registry, "source_synced", "Whether all of the source of objects was read once", usize::from(told.synced));
    let Some(report) = &told.report else { return };
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

fn times(told: &Figures, registry: &mut Registry) {
    for (name, help, histogram) in [
        ("cni_add_duration_seconds", "From an ADD's first request to the pod in force", told.adds.clone()),
        ("cni_del_duration_seconds", "From a DEL's request to the address given back", told.dels.clone()),
        (
            "policy_in_force_duration_seconds",
            "From a change of objects that reached the agent to its policies in force",
            told.policies_in_force.clone(),
        ),
        (
            "service_in_force_duration_seconds",
            "From a change of objects that reached the agent to its Services in force",
            told.services_in_force.clone(),
        ),
    ] {
        registry.register(name, help, histogram);
    }
    registry.register("cni_failures", "Requests of the plugin that failed, by operation", told.failed.clone());
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: usize) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

#[cfg(test)]
mod tests {
    use ferrule_source::store;

    use super::*;
    use crate::api::Times;

    /// Of an agent with the API server as its source: then nothing is left out. A family without a sample would be.
    fn everything() -> Figures {
        let (times, word) = (Times::default(), String::new);
        let (program, outcome, description) = (word(), word(), word());
        Figures {
            samples: vec![Sample { program, dropped: false, outcome, description, packets: 1, bytes: 1 }],
            state: Arc::default(),
            leases: 0,
            addresses: 0,
            flows: (0, 0),
            refused_flows: 0,
            policy: policy::Summary::default(),
            held: Count::default(),
            policy_issues: 0,
            services: service::Summary::default(),
            service_issues: 0,
            sockets: Owner::default(),
            unheard: 0,
            closed: 0,
            synced: true,
            report: Some(Report { synced: true, answered: None, synced_at: None, problems: Vec::new() }),
            adds: times.add,
            dels: times.del,
            failed: times.failed,
            policies_in_force: store::in_force(),
            services_in_force: store::in_force(),
        }
    }

    #[test]
    fn the_manual_has_every_metric_by_its_name_kind_and_labels() {
        let text = Format::Prometheus.write(everything().text());
        let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let kinds: Vec<(&str, &str)> = kinds.collect();
        assert!(kinds.len() > 20, "{text}");
        let labels = |name: &str| -> Vec<&str> {
            let sample = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once('}'));
            let labels = sample.map_or("", |(labels, _)| labels);
            labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect()
        };
        for (name, kind) in &kinds {
            let row = crate::manual::row("metric", name);
            assert_eq!((row.len(), row[1]), (5, *kind), "{name}");
            let named = labels(name).iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            assert_eq!(row[2], named, "{name}");
        }
        let told = crate::manual::rows("metric");
        assert_eq!(told.len(), kinds.len(), "the manual has metrics that there are not: {told:?}");
    }
}
