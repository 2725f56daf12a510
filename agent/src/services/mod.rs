//! Services in force: the model's choice of backends, fed by the store, its steps carried out at once, and the socket
//! programs on their cgroup.
//!
//! ```text
//! store ─▶ model::service::Engine ─▶ steps ─▶ maps ─▶ (first time) programs on the cgroup
//!                                └─▶ backends of UDP ports that left ─▶ their sockets are ended
//! ```
//!
//! What a former agent left stays in force until the source is whole. Then the engine begins with what the maps hold, so
//! that what has not changed is not written.

mod ended;
mod error;
mod inner;
mod owners;
mod recount;
mod run;
mod show;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aya::maps::MapError;
pub use error::ServiceError;
use ferrule_api::chain::chain;
use ferrule_common::owner::Owner;
use ferrule_kernel::bpf::{Pins, Programs, ServiceMaps, cgroup};
use ferrule_model::service::{Engine, Issue, Summary};
use ferrule_source::{
    store,
    store::{Reader, Snapshot},
};
pub use owners::Owners;
use prometheus_client::metrics::histogram::Histogram;

use self::inner::Inner;
use crate::{
    apply::Turns,
    config::{Config, KubeProxy},
};

/// Everybody's way to the Services.
pub struct Services {
    inner: Mutex<Inner>,
    programs: Arc<Mutex<Programs>>,
    pins: Pins,
    owners: Arc<Owners>,
    store: Reader,
    turns: Turns<ServiceError>,
    on: bool,
    root: Option<PathBuf>,
    kube_proxy: KubeProxy,
    /// From a change's arrival to the last write, in seconds.
    in_force: Histogram,
}

/// What [`Services`] are made from, beside their maps.
pub struct Parts {
    /// The programs.
    pub programs: Arc<Mutex<Programs>>,
    /// Where they are pinned.
    pub pins: Pins,
    /// Whose sockets ask.
    pub owners: Arc<Owners>,
    /// The objects.
    pub store: Reader,
}

impl Services {
    /// Over the pinned maps; changes nothing yet.
    #[must_use]
    pub fn new(config: &Config, maps: ServiceMaps, parts: Parts) -> Self {
        let inner = Inner::new(&config.node_name, config.source.is_kubernetes(), maps);
        let settings = &config.services;
        let (on, root, kube_proxy) = (settings.on, settings.root(), settings.kube_proxy);
        let in_force = store::in_force();
        let Parts { programs, pins, owners, store } = parts;
        Self {
            inner: Mutex::new(inner),
            programs,
            pins,
            owners,
            store,
            turns: Turns::default(),
            on,
            root,
            kube_proxy,
            in_force,
        }
    }

    /// Waits until what the store says by now is in force, as far as the source allows. What the kernel refuses is tried
    /// again, and [`Self::error`] says it.
    pub async fn synced(&self) {
        // The error is kept.
        let _ = self.turns.next().await;
    }

    /// Puts in force what the store says now. The first snapshot needs to be whole where something is in force already.
    fn sync(&self) -> Result<(), ServiceError> {
        let mut inner = self.lock();
        let snapshot = self.store.clone().snapshot();
        if !snapshot.synced {
            return Ok(());
        }
        let followed = if self.on { self.serve(&mut inner, &snapshot) } else { self.leave(&mut inner) };
        inner.error = followed.as_ref().err().map(|error| chain(error));
        followed
    }

    fn serve(&self, inner: &mut Inner, snapshot: &Snapshot) -> Result<(), ServiceError> {
        inner.drain()?;
        if inner.engine.is_none() {
            let in_force = cgroup::is_there(&self.pins) || !self.pins.other_layouts().is_empty();
            if !inner.begin(&snapshot.objects, snapshot.whole, in_force)? {
                return Ok(());
            }
        } else if inner.change(&snapshot.objects)?
            && let Some(since) = snapshot.since
        {
            self.in_force.observe(since.elapsed().as_secs_f64());
        }
        if inner.attached {
            return Ok(());
        }
        let root = self.root.as_ref().ok_or(ServiceError::NoCgroup)?;
        if !cgroup::is_there(&self.pins) {
            let forgotten = inner.maps.forget_sockets();
            forgotten.map_err(|source| ServiceError::Map { step: "forget sockets".into(), source })?;
        }
        self.carry();
        self.programs().attach_sockets(root)?;
        // Those that were opened while the programs were being replaced.
        self.carry();
        inner.attached = true;
        tracing::info!(cgroup = %root.display(), "Services are translated at the socket");
        Ok(())
    }

    /// Takes what a former agent left out of force.
    fn leave(&self, inner: &mut Inner) -> Result<(), ServiceError> {
        cgroup::detach(&self.pins)?;
        if inner.engine.is_none() {
            inner.begin(&Arc::default(), true, false)?;
        }
        Ok(())
    }

    /// Takes along what sockets asked for under another version's maps.
    fn carry(&self) {
        match ferrule_kernel::bpf::carry::carry_sockets(&self.pins) {
            Ok(0) => {}
            Ok(entries) => tracing::info!(entries, "took sockets along from another version's maps"),
            Err(error) => {
                tracing::error!(%error, "another version's sockets cannot be read: open ones see backends in their Services' place");
            }
        }
    }

    /// Whether the source was read, everything is in the maps, and the programs are attached or cannot be.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let inner = self.lock();
        inner.engine.is_some() && inner.pending.is_empty() && (inner.attached || !self.on || inner.error.is_some())
    }

    /// Whether no other version's socket programs are in force.
    #[must_use]
    pub fn has_taken_over(&self) -> bool {
        self.lock().attached || !cgroup::is_there(&self.pins)
    }

    /// What went wrong last, and is tried again.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.lock().error.clone()
    }

    /// What is not as its object says.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        let inner = self.lock();
        let stack = inner.stack.unwrap_or_default();
        let mut issues = inner.engine.as_ref().map(|engine| engine.issues(stack)).unwrap_or_default();
        issues.extend_from_slice(&inner.shared.1);
        issues
    }

    /// How much there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.lock().engine.as_ref().map(Engine::summary).unwrap_or_default()
    }

    /// How long changes took from their arrival until they were in force.
    #[must_use]
    pub fn in_force(&self) -> Histogram {
        self.in_force.clone()
    }

    /// What sockets and clients hold together, and what was refused them.
    #[must_use]
    pub fn held(&self) -> Owner {
        self.owners.totals()
    }

    /// Where Services are translated: the cgroup; none where they are not.
    #[must_use]
    pub fn cgroup(&self) -> Option<PathBuf> {
        self.lock().attached.then(|| self.root.clone()).flatten()
    }

    /// Whether kube-proxy translates what no socket program saw.
    #[must_use]
    pub fn is_beside_kube_proxy(&self) -> bool {
        self.lock().stack.unwrap_or_default()
    }

    /// Socket programs that are not on their cgroup. Blocks.
    ///
    /// # Errors
    /// Where that cannot be told.
    pub fn missing_programs(&self) -> Result<Vec<&'static str>, ServiceError> {
        if !self.on {
            return Ok(Vec::new());
        }
        let root = self.root.as_ref().ok_or(ServiceError::NoCgroup)?;
        Ok(self.programs().missing_sockets(root)?)
    }

    /// A phrase for each map that holds something else than was written. Blocks.
    ///
    /// # Errors
    /// The kernel's.
    pub fn differences(&self) -> Result<Vec<String>, MapError> {
        self.lock().differences()
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
