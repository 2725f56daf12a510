//! The API server as a source: a watch of each kind in use, gathered into whole snapshots.
//!
//! ```text
//! API server ─▶ kube's watchers (list in pages, watch, list again after 410) ─▶ item: members in use ─▶ mirror ─▶ store
//! ```
//! While the API server is away, what it said last stands.

mod connect;
mod health;
mod item;
pub mod mirror;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_model::objects::Kind;
use futures::StreamExt;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, ExponentialBackoff, watcher},
    },
};
use tokio::{sync::mpsc, task::JoinSet};

pub use connect::{Access, ConnectError, check_url, connect};
pub(crate) use health::age;
pub use health::{Health, Report};
use item::Item;
use mirror::Mirror;

use super::decode::Parts;
use crate::store::{Snapshot, Writer};

/// How long a watch may last, in seconds.
const WATCH: u32 = 240;
/// Objects in a page of a list.
const PAGE: u32 = 500;
/// The first pause after a failure, and the longest; each with as much again by chance, so that the nodes of a cluster do
/// not come back all at once.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
/// Events that one snapshot takes along, if they are there.
const BURST: usize = 1_000;
/// Events that were read and wait for the mirror: half a page, so that the API server works on the next one meanwhile.
const WAITING: usize = 256;

type Said = (Kind, watcher::Result<Event<Parts>>);

/// Watches everything in use and replaces the store's snapshot at each burst of changes. Ends when nobody reads the store
/// any more; to stop it, drop the future.
pub async fn run(client: Client, health: Arc<Health>, mut store: Writer) {
    let (sender, mut events) = mpsc::channel(WAITING);
    // They end with this future.
    let mut watches = JoinSet::new();
    for kind in Kind::ALL {
        watches.spawn(watch(client.clone(), kind, sender.clone()));
    }
    drop(sender);
    let mut mirror = Mirror::default();
    while let Some(first) = events.recv().await {
        let since = Some(Instant::now());
        let mut changed = take(&mut mirror, &health, first);
        // What is there already goes into the same snapshot.
        for _ in 0..BURST {
            let Ok(next) = events.try_recv() else { break };
            changed |= take(&mut mirror, &health, next);
        }
        if changed {
            health.listed(mirror.missing());
            health.synced();
            if !store.replace(Snapshot { since, ..mirror.snapshot() }) {
                return;
            }
        }
    }
}

/// Reads what the API server says of one kind, kinds beside each other.
async fn watch(client: Client, kind: Kind, sender: mpsc::Sender<Said>) {
    let api = Api::<Item>::all_with(client, &kind);
    let config = watcher::Config::default().page_size(PAGE).timeout(WATCH);
    let mut events = watcher(api, config).backoff(pauses()).boxed();
    while let Some(event) = events.next().await {
        if sender.send((kind, event.map(parts))).await.is_err() {
            return;
        }
    }
}

fn pauses() -> ExponentialBackoff {
    let builder = backon::ExponentialBuilder::default().with_min_delay(PAUSES.0).with_max_delay(PAUSES.1).with_jitter();
    builder.without_max_times().into()
}

fn take(mirror: &mut Mirror, health: &Health, (kind, event): Said) -> bool {
    match event {
        Ok(event) => {
            health.heard(kind);
            mirror.take(kind, event)
        }
        Err(error) => {
            health.failed(kind, &error);
            false
        }
    }
}

fn parts(event: Event<Item>) -> Event<Parts> {
    match event {
        Event::Apply(item) => Event::Apply(item.into_parts()),
        Event::Delete(item) => Event::Delete(item.into_parts()),
        Event::Init => Event::Init,
        Event::InitApply(item) => Event::InitApply(item.into_parts()),
        Event::InitDone => Event::InitDone,
    }
}
