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
mod keep;
mod show;

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aya::maps::MapError;
use ferrule_common::layout;
use ferrule_model::{
    objects::Objects,
    service::{Applied, Backend, Engine, Found, Frontend, Limits, SetOf, Step, Summary, shared_with_pods},
};

pub use show::{ShownBackend, ShownPort, ShownService};

use crate::{
    bpf::{
        Pins, Programs, ServiceMaps,
        cgroup::{self, CgroupError},
        service_maps::{Fill, SETS},
    },
    config::{Config, KubeProxy},
    reconcile::chain,
    store::{Reader, Snapshot},
};

/// What a program on its way may still read is not removed before this.
const GRACE: Duration = Duration::from_secs(2);

/// Why Services are not in force.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The kernel refused a write; what follows waits for it.
    #[error("the maps of Services cannot be written: {step}")]
    Map {
        /// The step.
        step: String,
        /// The kernel's words.
        source: MapError,
    },
    /// The socket programs are not where they should be.
    #[error("Services are not translated at the socket")]
    Cgroup(#[from] CgroupError),
    /// There is no cgroup to attach to.
    #[error(
        "Services are not translated at the socket: no cgroup v2 is mounted; mount one, name it by --cgroup-root, or switch them off by --services off"
    )]
    NoCgroup,
}

/// Everybody's way to the Services.
pub struct Services {
    inner: Mutex<Inner>,
    programs: Arc<Mutex<Programs>>,
    pins: Pins,
    store: Reader,
    on: bool,
    root: Option<PathBuf>,
    kube_proxy: KubeProxy,
}

struct Inner {
    maps: ServiceMaps,
    node: String,
    /// None before the source was read.
    engine: Option<Engine>,
    /// Steps that the kernel refused, and all that came after them.
    pending: VecDeque<Step>,
    /// Sets that nothing names, and since when.
    resting: VecDeque<(Instant, SetOf)>,
    /// Sets that a former agent left, or that somebody damaged.
    orphans: Option<(Instant, BTreeSet<u32>)>,
    /// Backends of UDP ports that left and whose sockets are not ended yet.
    left: HashSet<(Frontend, Backend)>,
    /// The programs are on the cgroup.
    attached: bool,
    /// Whether the host's stack translates; none before it was asked.
    stack: Option<bool>,
    /// What went wrong last.
    error: Option<String>,
    compared: Instant,
    /// Services whose addresses pods have, and for which objects that was looked at.
    shared: (Arc<Objects>, Vec<String>),
    took: Option<Duration>,
}

impl Services {
    /// Over the pinned maps; changes nothing yet.
    #[must_use]
    pub fn new(config: &Config, maps: ServiceMaps, programs: Arc<Mutex<Programs>>, pins: Pins, store: Reader) -> Self {
        let inner = Inner {
            maps,
            node: config.node_name.clone(),
            engine: None,
            pending: VecDeque::new(),
            resting: VecDeque::new(),
            orphans: None,
            left: HashSet::new(),
            attached: false,
            stack: None,
            error: None,
            compared: Instant::now(),
            shared: (Arc::default(), Vec::new()),
            took: None,
        };
        let settings = &config.services;
        let (on, root, kube_proxy) = (settings.on, settings.root(), settings.kube_proxy);
        Self { inner: Mutex::new(inner), programs, pins, store, on, root, kube_proxy }
    }

    /// Puts in force what the store says now. The first snapshot needs to be whole where something is in force already.
    /// Blocks.
    ///
    /// # Errors
    /// The kernel's; the rest is tried again.
    pub fn follow(&self) -> Result<(), ServiceError> {
        let mut inner = self.lock();
        // Read with the lock held: of two who follow, neither brings back an older snapshot.
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
        } else {
            inner.change(&snapshot.objects)?;
        }
        if inner.attached {
            return Ok(());
        }
        let root = self.root.as_ref().ok_or(ServiceError::NoCgroup)?;
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
        match crate::bpf::carry::carry_sockets(&self.pins) {
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
    pub fn issues(&self) -> Vec<String> {
        let inner = self.lock();
        let stack = inner.stack.unwrap_or_default();
        let issues = inner.engine.as_ref().map(|engine| engine.issues(stack)).unwrap_or_default();
        issues.iter().map(ToString::to_string).chain(inner.shared.1.iter().cloned()).collect()
    }

    /// How much there is, and how long the last change took.
    #[must_use]
    pub fn summary(&self) -> (Summary, Option<Duration>) {
        let inner = self.lock();
        (inner.engine.as_ref().map(Engine::summary).unwrap_or_default(), inner.took)
    }

    /// How full the maps of sockets and clients are.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.lock().maps.fill().unwrap_or_default()
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

impl Inner {
    /// Whether it could begin: an absent object may only be late where the source is not `whole`.
    fn begin(&mut self, objects: &Arc<Objects>, whole: bool, in_force: bool) -> Result<bool, ServiceError> {
        let read = |source| ServiceError::Map { step: "read what is in force".into(), source };
        let found = self.maps.observe().map_err(read)?;
        if !whole && (in_force || found != Found::default()) {
            return Ok(false);
        }
        self.start(objects, &found)?;
        Ok(true)
    }

    fn start(&mut self, objects: &Arc<Objects>, found: &Found) -> Result<(), ServiceError> {
        let limits = Limits {
            // One entry says what becomes of packets.
            frontends: layout::SERVICES as usize - 1,
            backends: layout::BACKENDS as usize,
            members: layout::MEMBERS as usize,
            of_one: usize::from(u16::MAX),
            sets: SETS,
        };
        let (mut engine, orphans) = Engine::new(limits, &self.node, found);
        let applied = engine.begin(objects, found);
        self.engine = Some(engine);
        self.resting.clear();
        self.orphans = (!orphans.is_empty()).then(|| (Instant::now(), orphans.iter().map(|set| set.set).collect()));
        self.take(applied)
    }

    fn change(&mut self, objects: &Arc<Objects>) -> Result<(), ServiceError> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let started = Instant::now();
        let applied = engine.apply(objects);
        if applied == Applied::default() {
            return Ok(());
        }
        let taken = self.take(applied);
        self.took = Some(started.elapsed());
        taken
    }

    fn take(&mut self, applied: Applied) -> Result<(), ServiceError> {
        self.pending.extend(applied.steps);
        let now = Instant::now();
        self.resting.extend(applied.superseded.into_iter().map(|set| (now, set)));
        self.left.extend(applied.left);
        self.drain()
    }

    /// Carries out what waits, in order.
    fn drain(&mut self) -> Result<(), ServiceError> {
        while let Some(step) = self.pending.front() {
            self.maps.apply(step).map_err(|source| ServiceError::Map { step: step.to_string(), source })?;
            self.pending.pop_front();
        }
        Ok(())
    }

    /// Removes sets that nothing has named for a grace.
    fn retire(&mut self) -> Result<(), ServiceError> {
        if !self.pending.is_empty() {
            return Ok(());
        }
        let failed = |step: &Step| {
            let step = step.to_string();
            move |source| ServiceError::Map { step, source }
        };
        while let Some((since, set)) = self.resting.front() {
            if since.elapsed() < GRACE {
                break;
            }
            let step = Step::RemoveSet(set.clone());
            self.maps.apply(&step).map_err(failed(&step))?;
            if let (Some(engine), Some((_, set))) = (&mut self.engine, self.resting.pop_front()) {
                engine.release(&set);
            }
        }
        if let Some((_, sets)) = self.orphans.take_if(|(since, _)| since.elapsed() >= GRACE) {
            let removed = self.maps.remove_sets(&sets);
            removed.map_err(|source| ServiceError::Map { step: "remove a former agent's sets".into(), source })?;
            if let Some(engine) = &mut self.engine {
                engine.forget(&sets);
            }
        }
        Ok(())
    }

    fn differences(&self) -> Result<Vec<String>, MapError> {
        let Some(engine) = &self.engine else { return Ok(Vec::new()) };
        if !self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let (mut found, expected) = (self.maps.observe()?, engine.expected());
        let leaving: BTreeSet<u32> = self.resting.iter().map(|(_, set)| set.set).collect();
        let orphans = self.orphans.as_ref().map(|(_, sets)| sets);
        found.sets.retain(|set, _| {
            expected.sets.contains_key(set) || !leaving.contains(set) && orphans.is_none_or(|sets| !sets.contains(set))
        });
        let mut phrases = Vec::new();
        if found.ports != expected.ports || found.addresses != expected.addresses {
            phrases.push("fr_services holds something else than was written".to_owned());
        }
        if found.sets != expected.sets {
            phrases.push("fr_backends or fr_svc_members holds something else than was written".to_owned());
        }
        Ok(phrases)
    }

    /// Looks for pods that have a Service's address, now and then.
    fn look_for_shared(&mut self, objects: &Arc<Objects>) {
        let Some(engine) = &self.engine else { return };
        if Arc::ptr_eq(&self.shared.0, objects) {
            return;
        }
        let issues = shared_with_pods(objects, |address| engine.service_at(address));
        self.shared = (Arc::clone(objects), issues.iter().map(ToString::to_string).collect());
    }
}
