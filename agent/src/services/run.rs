//! The task that owns the Services: it puts in force what the store says, tries again what the kernel refused, removes what
//! was superseded, and mends what somebody else changed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_api::chain::chain;
use ferrule_common::service::{Affinity, AffinityKey};
use ferrule_kernel::{
    bpf::{cgroup, globals, service_maps::frontend, socket_maps::connected},
    net::kube_proxy,
};
use ferrule_source::store::{Reader, Snapshot};

use super::{Owners, ServiceError, Services, ended, inner::Inner};
use crate::{apply::AGAIN, attachment::Attachments, config::KubeProxy};

/// How long a burst of changes is gathered, so that many small ones cost little.
const GATHER: Duration = Duration::from_millis(10);

impl Services {
    /// Runs until the store's writer is gone.
    pub async fn run(self: Arc<Self>, attachments: Arc<Attachments>, mut store: Reader) {
        let mut told: Option<String> = None;
        let mut ending: Option<tokio::task::JoinHandle<()>> = None;
        let mut last: Option<(Instant, Arc<Snapshot>)> = None;
        let mut asked = false;
        loop {
            // What is there now counts as seen.
            let snapshot = store.snapshot();
            let rests =
                last.as_ref().is_some_and(|(when, seen)| when.elapsed() < AGAIN && !is_concern(seen, &snapshot));
            if !rests {
                last = Some((Instant::now(), snapshot));
                let (services, pods) = (Arc::clone(&self), Arc::clone(&attachments));
                let words = tokio::task::spawn_blocking(move || services.turn_and_upkeep(&pods)).await;
                let words = words.unwrap_or_default();
                // Beside what follows: no change waits for a look into every network namespace.
                if ending.as_ref().is_none_or(tokio::task::JoinHandle::is_finished) {
                    let (services, pods) = (Arc::clone(&self), Arc::clone(&attachments));
                    ending = Some(tokio::task::spawn_blocking(move || services.end_sockets(&pods)));
                }
                if let Some(error) = words.as_deref().filter(|words| told.as_deref() != Some(words)) {
                    tracing::error!(error, "Services");
                }
                told = words;
            } else if asked {
                // Who waits for a turn asks for no more than that.
                let services = Arc::clone(&self);
                let _ = tokio::task::spawn_blocking(move || services.turn()).await;
            }
            asked = tokio::select! {
                () = self.turns.asked() => true,
                more = next(&mut store) => if more { false } else { break },
            };
        }
        self.turns.close();
    }

    /// What went wrong, in a sentence. Blocks.
    fn turn(&self) -> Option<String> {
        let turn = self.turns.begin();
        let synced = self.sync();
        let words = synced.as_ref().err().map(|error| chain(error));
        self.turns.end(turn, synced);
        words
    }

    /// As [`Self::turn`], with all that is done now and then.
    fn turn_and_upkeep(&self, pods: &Attachments) -> Option<String> {
        let words = self.turn();
        // Where sockets cannot be served, packets are all that kube-proxy sees.
        let (looked, known) = (self.look_beside(), self.know(pods));
        words.or_else(|| looked.and(known).and_then(|()| self.upkeep()).err().map(|error| chain(&error)))
    }

    /// Which pods there are.
    fn know(&self, pods: &Attachments) -> Result<(), ServiceError> {
        let netns = pods.leases().iter().map(|lease| lease.netns.clone()).collect();
        let known = self.owners.follow(&netns);
        known.map_err(|source| ServiceError::Map { step: "know whose sockets ask".into(), source })
    }

    fn upkeep(&self) -> Result<(), ServiceError> {
        let mut inner = self.lock();
        if inner.engine.is_none() {
            return Ok(());
        }
        inner.retire()?;
        if !self.on || !inner.compared.is_due() {
            return Ok(());
        }
        inner.compared.done();
        let objects = Arc::clone(&self.store.clone().snapshot().objects);
        inner.look_for_shared(&objects);
        inner.compare()?;
        inner.tidy(&self.owners)?;
        self.restore_programs(&mut inner)
    }

    /// Looks for kube-proxy where it is time to.
    fn look_beside(&self) -> Result<(), ServiceError> {
        let mut inner = self.lock();
        if inner.engine.is_none() || !inner.looked.is_due() {
            return Ok(());
        }
        if self.on {
            self.look_for_kube_proxy(&mut inner)?;
        } else {
            inner.stack = Some(false);
        }
        inner.looked.done();
        Ok(())
    }

    fn look_for_kube_proxy(&self, inner: &mut Inner) -> Result<(), ServiceError> {
        let there = match self.kube_proxy {
            KubeProxy::Present => true,
            KubeProxy::Absent => false,
            KubeProxy::Auto => kube_proxy::is_there().unwrap_or_else(|error| {
                tracing::warn!(%error, "whether kube-proxy runs here cannot be told; say so by --kube-proxy");
                inner.stack.unwrap_or_default()
            }),
        };
        if inner.stack != Some(there) {
            tracing::info!(there, "kube-proxy");
        }
        // Written each time: somebody else may have removed it.
        let written = inner.maps.set_stack(there);
        written.map_err(|source| ServiceError::Map { step: "packets that no socket program saw".into(), source })?;
        inner.stack = Some(there);
        Ok(())
    }

    fn restore_programs(&self, inner: &mut Inner) -> Result<(), ServiceError> {
        if !inner.attached {
            return Ok(());
        }
        let missing = self.missing_programs()?;
        if missing.is_empty() {
            return Ok(());
        }
        tracing::warn!(programs = missing.join(", "), "socket programs were taken away; they are attached again");
        inner.attached = false;
        let root = self.root.as_ref().ok_or(ServiceError::NoCgroup)?;
        self.programs().attach_sockets(root)?;
        inner.attached = true;
        Ok(())
    }

    /// Looks at everything now, and mends it. Blocks.
    ///
    /// # Errors
    /// The kernel's.
    pub fn mend(&self) -> Result<(), ServiceError> {
        let mut inner = self.lock();
        if inner.engine.is_none() || !self.on {
            return Ok(());
        }
        inner.compare()?;
        self.restore_programs(&mut inner)
    }

    /// Ends UDP sockets that are connected to a backend that left. Not under the lock: it may take a while.
    fn end_sockets(&self, pods: &Attachments) {
        let due = self.lock().due(Instant::now());
        let due = due.unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "sockets of backends that left cannot be read");
            Vec::new()
        });
        if due.is_empty() || !cgroup::is_there(&self.pins) {
            return;
        }
        let netns = pods.leases().iter().map(|lease| lease.netns.clone()).collect();
        let ended = ended::end(&due, &netns);
        self.lock().tried.note(&due, &ended, Instant::now());
    }
}

/// Waits for a burst of changes, or until something may be tried again; false where the store's writer is gone.
async fn next(store: &mut Reader) -> bool {
    tokio::time::sleep(GATHER).await;
    !matches!(tokio::time::timeout(AGAIN, store.changed()).await, Ok(false))
}

/// Whether two snapshots differ by what Services are made of: most differ by pods alone.
fn is_concern(before: &Snapshot, after: &Snapshot) -> bool {
    let (was, now) = (&before.objects, &after.objects);
    before.synced != after.synced
        || before.whole != after.whole
        || !was.services.ptr_eq(&now.services)
        || !was.endpoint_slices.ptr_eq(&now.endpoint_slices)
        || !was.nodes.ptr_eq(&now.nodes)
}

impl Inner {
    /// Writes anew what somebody else changed, and removes what nothing names.
    fn compare(&mut self) -> Result<(), ServiceError> {
        let failed = |source| ServiceError::Map { step: "read what is in force".into(), source };
        let phrases = self.differences().map_err(failed)?;
        if !phrases.is_empty() {
            tracing::warn!("{}; what differs is written anew", phrases.join("; "));
            let found = self.maps.observe().map_err(failed)?;
            if let Some(engine) = &self.engine {
                let objects = engine.objects();
                self.start(&objects, &found)?;
            }
        }
        Ok(())
    }

    /// Removes what sockets and clients left and nobody needs, and counts what is there.
    fn tidy(&mut self, owners: &Owners) -> Result<(), ServiceError> {
        let failed = |source| ServiceError::Map { step: "tidy what sockets left".into(), source };
        let held = self.maps.held().map_err(failed)?;
        self.stale = Some(self.stale(connected(&held.sockets)));
        let answers = self.maps.tidy_sockets(&held).map_err(failed)?;
        let streams = owners.gone(&held);
        self.maps.forget_streams(&streams).map_err(failed)?;
        let now = globals::jiffies_now();
        let clients: Vec<_> = held.clients.iter().filter(|client| self.is_away(client, now)).copied().collect();
        self.maps.forget_clients(&clients).map_err(failed)?;
        if answers + streams.len() + clients.len() != 0 {
            tracing::debug!(
                answers,
                streams = streams.len(),
                clients = clients.len(),
                "what sockets left is forgotten"
            );
        }
        owners.recount(&held).map_err(failed)
    }

    /// Whether a client has been away for longer than it keeps its backend.
    fn is_away(&self, (key, last): &(AffinityKey, Affinity), now: u32) -> bool {
        let served = frontend(&key.frontend).and_then(|frontend| self.engine.as_ref()?.served(&frontend)?.affinity);
        let Some(seconds) = served else { return true };
        // The clocks may differ by a tick, and one that was seen meanwhile is later than now.
        let away = now.wrapping_sub(last.seen).cast_signed();
        i64::from(away) > (i64::from(seconds) + 1) * i64::from(globals::jiffies())
    }
}
