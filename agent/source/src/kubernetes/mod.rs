//! The API server as a source: a watch of each kind in use, gathered into whole snapshots.
//!
//! ```text
//! API server ─▶ kube's watchers (list in pages, watch, list again after 410) ─▶ item: decoded ─▶ mirror ─▶ store
//! ```
//! While the API server is away, what it said last stands.

mod connect;
mod health;
mod item;
pub mod mirror;
mod refusal;
mod watch;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use connect::{Access, ConnectError, check_url, connect};
use ferrule_model::objects::Kind;
pub use health::{Health, Report, age};
use kube::{Client, runtime::watcher::Event};
use mirror::Mirror;
use tokio::{sync::mpsc, task::JoinSet};
use watch::{Said, watch};

use crate::store::{Snapshot, Writer};

/// Events that one snapshot takes along, if they are there.
const BURST: usize = 1_000;
/// Events that were read and wait for the mirror: half a page, so that the API server works on the next one meanwhile.
const WAITING: usize = 256;
/// A change that comes so soon after the last snapshot is one of many.
const THICK: Duration = Duration::from_millis(15);
/// How long it then waits for more.
const GATHER: Duration = Duration::from_millis(20);

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
    let mut last: Option<Instant> = None;
    while let Some(first) = events.recv().await {
        let since = Some(Instant::now());
        // Where changes come thick, those that follow go into the same snapshot, at which everybody looks.
        if last.is_some_and(|last| last.elapsed() < THICK) {
            tokio::time::sleep(GATHER).await;
        }
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
            last = Some(Instant::now());
        }
    }
}

fn take(mirror: &mut Mirror, health: &Health, (kind, event): Said) -> bool {
    match event {
        Ok(event) => {
            // A list that has begun may fail yet.
            if !matches!(event, Event::Init | Event::InitApply(_)) {
                health.heard(kind);
            }
            mirror.take(kind, event)
        }
        Err(error) => {
            health.failed(kind, &error);
            false
        }
    }
}
