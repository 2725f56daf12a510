//! NetworkPolicy in force: the model's compiler, fed by the store and by attachments, and its steps carried out at once.
//!
//! ```text
//! store ─── diff ──┐
//! ADD, DEL ────────┴▶ model::policy::Engine ─▶ steps ─▶ maps
//! ```
//!
//! An agent that starts knows nothing of what the maps' numbers mean. It compiles everything anew under numbers and a
//! generation that are free, beside what is in force, moves the endpoints' words over, and removes the rest after a
//! grace. Until its source is whole, what it found stays in force.

mod diff;
mod hands;
mod keep;
mod room;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aya::maps::MapError;
use ferrule_common::policy::Word;
use ferrule_kernel::bpf::{PolicyMaps, policy_maps::Count};
use ferrule_model::{
    objects::{Direction, Objects},
    policy::{self, Change, Endpoint, Engine, InForce, Issue, RuleName, Step, Summary},
};
use ferrule_source::{
    store,
    store::{Reader, Snapshot},
};
use prometheus_client::metrics::histogram::Histogram;
use room::limits;
pub use room::{BLOCKS, CLASSES, KEYS, TABLES};

use crate::flows::{Flows, Sweep};

/// What a program on its way may still read is not removed before this.
const GRACE: Duration = Duration::from_secs(2);

/// Why an endpoint's policy is not in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The source has not been read.
    #[error("the source of Kubernetes objects has not been read yet, so that its policies are not known")]
    Unread,
    /// The kernel refused a write; what follows waits for it.
    #[error("the maps of policies cannot be written: {step}")]
    Map {
        /// The step.
        step: String,
        /// The kernel's words.
        source: MapError,
    },
}

/// Everybody's way to the policies.
pub struct Policy {
    inner: Mutex<Inner>,
    flows: Arc<Flows>,
    store: Reader,
    /// From a change's arrival to its last word's store, in seconds.
    in_force: Histogram,
}

struct Inner {
    maps: PolicyMaps,
    /// None before the source was read.
    engine: Option<Engine>,
    /// Endpoints that attachments told of.
    endpoints: BTreeMap<u32, Endpoint>,
    /// Those that were there when the agent started are among them.
    all_known: bool,
    /// The snapshot that the engine knows.
    objects: Arc<Objects>,
    /// Steps that the kernel refused, and all that came after them.
    pending: VecDeque<Step>,
    /// When words were stored last: until a grace later a program may look into what they named before.
    stored: Instant,
    /// What the maps held when they were counted last, and what the engine believed then.
    counted: (Count, Summary),
    /// When what was superseded was removed last.
    retired: Instant,
    /// Tables of a former agent that are not removed yet.
    former: BTreeSet<u32>,
    /// What a former agent left was looked at, and all that nothing names has gone.
    tidied: bool,
    /// When the maps were compared with what was written last.
    compared: Instant,
    /// From the snapshot to the last word's store, the last time that words were stored.
    took: Option<Duration>,
}

impl Policy {
    /// Over the pinned maps; changes nothing yet.
    #[must_use]
    pub fn new(maps: PolicyMaps, flows: Arc<Flows>, store: Reader) -> Self {
        let inner = Inner {
            maps,
            engine: None,
            endpoints: BTreeMap::new(),
            all_known: false,
            objects: Arc::default(),
            pending: VecDeque::new(),
            stored: Instant::now(),
            counted: <_>::default(),
            retired: Instant::now(),
            former: BTreeSet::new(),
            tidied: false,
            compared: Instant::now(),
            took: None,
        };
        Self { inner: Mutex::new(inner), flows, store, in_force: store::in_force() }
    }

    /// Puts in force what the store says now. The first snapshot needs to be whole where something is in force already.
    ///
    /// # Errors
    /// The kernel's; the rest is tried again.
    pub fn follow(&self) -> Result<(), PolicyError> {
        let mut inner = self.lock();
        // Read with the lock held: of two who follow, neither brings back an older snapshot.
        let snapshot = self.store.clone().snapshot();
        if !snapshot.synced {
            return Ok(());
        }
        inner.drain()?;
        if inner.engine.is_none() {
            return if inner.all_known { inner.begin(&snapshot) } else { Ok(()) };
        }
        if Arc::ptr_eq(&inner.objects, &snapshot.objects) {
            return Ok(());
        }
        let started = Instant::now();
        let before = std::mem::replace(&mut inner.objects, Arc::clone(&snapshot.objects));
        let changes = diff::changes(&before, &snapshot.objects);
        let exchanged = hands::exchanged(&before, &changes);
        let concerned = !changes.is_empty();
        let changed = inner.change(changes);
        inner.took = Some(started.elapsed());
        drop(inner);
        if let Some(since) = snapshot.since.filter(|_| concerned && changed.is_ok()) {
            self.in_force.observe(since.elapsed().as_secs_f64());
        }
        // Whatever the kernel refused: this difference is seen once.
        for address in exchanged {
            if let Err(error) = self.flows.sweep(Sweep::Address(address)) {
                tracing::warn!(%address, %error, "flows of an address that changed hands cannot be removed");
            }
        }
        changed
    }

    /// Puts an endpoint's policies in force: before its addresses are known to any program. Idempotent. A direction whose
    /// policies do not fit is closed; the issue says so.
    ///
    /// # Errors
    /// Where they cannot be; the endpoint is then closed.
    pub fn install(&self, index: u32, endpoint: Endpoint) -> Result<(), PolicyError> {
        // All that the store says by now, its pod's labels first.
        self.follow()?;
        let mut inner = self.lock();
        inner.endpoints.insert(index, endpoint.clone());
        if inner.engine.is_none() {
            return Err(PolicyError::Unread);
        }
        inner.change(vec![Change::Endpoint(index, Some(endpoint))])?;
        let engine = inner.engine.as_ref().ok_or(PolicyError::Unread)?;
        match engine.endpoint(index) {
            Some(InForce { tables: Some(tables), .. }) => inner.restore(index, tables),
            _ => Err(PolicyError::Unread),
        }
    }

    /// A phrase where an endpoint's word is not what it should be.
    ///
    /// # Errors
    /// The kernel's.
    pub fn difference(&self, index: u32) -> Result<Option<String>, MapError> {
        let inner = self.lock();
        let Some(Some(tables)) =
            inner.engine.as_ref().and_then(|engine| engine.endpoint(index)).map(|found| found.tables)
        else {
            return Ok(None);
        };
        let word = inner.maps.word(index)?;
        let differs = inner.pending.is_empty() && [word.ingress(), word.egress()] != tables || word == Word::UNKNOWN;
        Ok(differs.then(|| format!("fr_ep_state has another word for endpoint {index}")))
    }

    /// Tells of an endpoint that is there, before the source is read.
    pub fn know(&self, index: u32, endpoint: Endpoint) {
        let mut inner = self.lock();
        if inner.engine.is_none() {
            inner.endpoints.insert(index, endpoint);
        }
    }

    /// Every endpoint that was there when the agent started has been told of: from now on policies can be compiled.
    pub fn all_known(&self) {
        self.lock().all_known = true;
    }

    /// Closes an index: after its addresses have gone from all maps.
    ///
    /// # Errors
    /// The kernel's; tried again.
    pub fn forget(&self, index: u32) -> Result<(), PolicyError> {
        let mut inner = self.lock();
        inner.endpoints.remove(&index);
        if inner.engine.is_none() {
            // A former agent's word: an index is closed whoever knew it.
            let step = Step::ClearWord(index);
            let failed = |source| PolicyError::Map { step: step.to_string(), source };
            return inner.maps.apply(&step, 0).map_err(failed);
        }
        inner.drain()?;
        inner.change(vec![Change::Endpoint(index, None)])
    }

    /// Whether the source was read and everything is in force.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let inner = self.lock();
        inner.engine.is_some() && inner.pending.is_empty()
    }

    /// What is not in force as its object says.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        self.lock().engine.as_ref().map(Engine::issues).unwrap_or_default()
    }

    /// What holds for an endpoint.
    #[must_use]
    pub fn endpoint(&self, index: u32) -> Option<InForce> {
        self.lock().engine.as_ref()?.endpoint(index)
    }

    /// What the live maps say of a new flow at one end: none if it is denied, else the rule that allows it, if a table is
    /// asked. Found as the programs find it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn ask(
        &self,
        endpoint: u32,
        direction: Direction,
        peer: IpAddr,
        port: Option<(u8, u16)>,
    ) -> Result<Option<Option<u32>>, MapError> {
        self.lock().maps.ask(endpoint, direction == Direction::Ingress, peer, port)
    }

    /// The rule that a number stands for.
    #[must_use]
    pub fn rule(&self, number: u32) -> Option<RuleName> {
        self.lock().engine.as_ref()?.rule(number).cloned()
    }

    /// How many entries the kernel's maps hold, a former agent's included.
    #[must_use]
    pub fn held(&self) -> Count {
        self.lock().held()
    }

    /// How much there is, and how long the last change took.
    #[must_use]
    pub fn summary(&self) -> (Summary, Option<Duration>) {
        let inner = self.lock();
        (inner.engine.as_ref().map(Engine::summary).unwrap_or_default(), inner.took)
    }

    /// How long changes took from their arrival until they were in force.
    #[must_use]
    pub fn in_force(&self) -> Histogram {
        self.in_force.clone()
    }

    /// The class that an address has in the compiler's mind.
    #[must_use]
    pub fn class(&self, address: IpAddr) -> Option<(u32, bool)> {
        self.lock().engine.as_ref()?.class(address)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn begin(&mut self, snapshot: &Snapshot) -> Result<(), PolicyError> {
        let read = |source| PolicyError::Map { step: "read what is in force".into(), source };
        if !self.maps.left().map_err(read)?.endpoints.is_empty() && !snapshot.whole {
            // What is missing may be what isolates.
            return Ok(());
        }
        // Before anything is added: what nothing names, of an agent that died between two steps, too.
        let named = self.maps.named_tables().map_err(read)?;
        self.maps.keep_only(&named, None).map_err(read)?;
        let left = self.maps.left().map_err(read)?;
        let generation = left.next_generation();
        self.engine = Some(Engine::new(limits(), generation, named.clone()));
        self.former = named;
        self.recount().map_err(read)?;
        self.retired = Instant::now();
        self.objects = Arc::clone(&snapshot.objects);
        let mut changes = diff::changes(&Objects::default(), &snapshot.objects);
        changes.extend(self.endpoints.iter().map(|(index, endpoint)| Change::Endpoint(*index, Some(endpoint.clone()))));
        self.change(changes)
    }

    fn change(&mut self, changes: Vec<Change>) -> Result<(), PolicyError> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let steps = engine.apply(changes);
        self.pending.extend(steps);
        self.drain()
    }

    /// Stores an endpoint's word again, where somebody else has changed it.
    fn restore(&mut self, index: u32, [ingress, egress]: [u32; 2]) -> Result<(), PolicyError> {
        let step = Step::SetWords(vec![policy::Word { index, ingress, egress }]);
        let failed = |source| PolicyError::Map { step: step.to_string(), source };
        let word = self.maps.word(index).map_err(failed)?;
        if [word.ingress(), word.egress()] == [ingress, egress] && word != Word::UNKNOWN {
            return Ok(());
        }
        self.maps.apply(&step, 0).map_err(|source| PolicyError::Map { step: step.to_string(), source })
    }

    /// Carries out what waits, in order. Where a map is full, garbage goes first.
    fn drain(&mut self) -> Result<(), PolicyError> {
        let Some(engine) = &self.engine else { return Ok(()) };
        let generation = engine.generation();
        while let Some(step) = self.pending.front() {
            let shown = || shortened(&step.to_string());
            match self.maps.apply(step, generation) {
                Ok(()) => {
                    if matches!(step, Step::SetWords(_)) {
                        self.stored = Instant::now();
                    }
                    self.pending.pop_front();
                }
                Err(source) => {
                    let error = PolicyError::Map { step: shown(), source };
                    if !error.is_full() || !self.make_room()? {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Steps may name thousands of keys.
fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}
