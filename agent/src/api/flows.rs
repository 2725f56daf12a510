//! What `ferrule conntrack` and `ferrule monitor` ask.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Query, State},
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use ferrule_api::{
    plugin::{ApiError, code},
    view,
    view::Flushed,
};
use ferrule_kernel::bpf::globals;
use ferrule_model::objects::ObjectName;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;

use super::{App, Refusal};
use crate::{
    attachment::Attachments,
    flows::{Sweep, shown},
    monitor::Names,
};

pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Json<Vec<view::Flow>>, Refusal> {
    let flows = Arc::clone(&app.controllers.flows);
    let listed = tokio::task::spawn_blocking(move || flows.list()).await;
    let flows = match listed {
        Ok(Ok(flows)) => flows,
        Ok(Err(error)) => return Err(Refusal::unreadable(&error)),
        Err(error) => return Err(Refusal::unreadable(&error)),
    };
    let (now, second) = (jiffies_now(&flows), globals::jiffies());
    let mut rows: Vec<view::Flow> = flows.iter().map(|(key, flow)| shown(key, flow, now, second)).collect();
    rows.sort_by(|a, b| (&a.source, a.source_port, &a.destination).cmp(&(&b.source, b.source_port, &b.destination)));
    Ok(Json(rows))
}

/// The kernel's jiffies, as far as flows can be compared with them.
fn jiffies_now(flows: &[(ferrule_common::flow::FlowKey, ferrule_common::flow::Flow)]) -> u32 {
    let now = globals::jiffies_now();
    // The clocks may differ by a tick: no flow was seen later than now.
    let latest = flows.iter().map(|(_, flow)| flow.seen.wrapping_sub(now).cast_signed()).max().unwrap_or(0);
    now.wrapping_add(u32::try_from(latest.clamp(0, 1000)).unwrap_or(0))
}

/// Which flows go.
#[derive(Deserialize)]
pub(super) struct Which {
    address: Option<IpAddr>,
}

pub(super) async fn flush(State(app): State<Arc<App>>, Query(which): Query<Which>) -> Result<Json<Flushed>, Refusal> {
    let flows = Arc::clone(&app.controllers.flows);
    let what = which.address.map_or(Sweep::All, Sweep::Address);
    match tokio::task::spawn_blocking(move || flows.sweep(what)).await {
        Ok(Ok(swept)) => Ok(Json(Flushed { removed: swept.removed })),
        Ok(Err(error)) => Err(Refusal::unreadable(&error)),
        Err(error) => Err(Refusal::unreadable(&error)),
    }
}

/// What is watched.
#[derive(Deserialize)]
pub(super) struct Watch {
    #[serde(default)]
    allowed: bool,
}

/// A line of JSON for each event, until the watcher goes.
pub(super) async fn monitor(State(app): State<Arc<App>>, Query(watch): Query<Watch>) -> Result<Response, Refusal> {
    let watcher = app.monitor.watch(watch.allowed).map_err(|error| {
        let msg = "the programs cannot be asked for events".into();
        Refusal(ApiError { code: code::KERNEL, msg, details: error.to_string() })
    })?;
    let start = (app, watcher, Names::default());
    let lines = futures::stream::unfold(start, |(app, mut watcher, mut names)| async move {
        loop {
            match watcher.events.recv().await {
                Ok(event) => {
                    let objects = Arc::clone(&app.controllers.store.clone().snapshot().objects);
                    if !names.is_of(&objects) || !names.knows(event.endpoint) {
                        names = Names::new(objects, &leased(&app.controllers.attachments));
                    }
                    let shown =
                        names.show(&event, |number| app.controllers.policy.rule(number).map(|rule| rule.to_string()));
                    let Ok(mut line) = serde_json::to_vec(&shown) else { continue };
                    line.push(b'\n');
                    return Some((Ok::<_, Infallible>(line), (app, watcher, names)));
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

/// Whose this node's leased addresses are.
fn leased(attachments: &Attachments) -> Vec<(u32, IpAddr, ObjectName)> {
    let leases = attachments.leases();
    let named = leases.iter().filter_map(|lease| Some((lease, lease.pod.as_ref()?)));
    named
        .flat_map(|(lease, pod)| {
            let name = ObjectName::new(pod.namespace.as_str(), pod.name.as_str());
            lease.addresses.iter().map(move |ip| (lease.endpoint_index, *ip, name.clone()))
        })
        .collect()
}
