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
mod error;
mod exchanged;
mod inner;
mod limits;
mod room;
mod run;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aya::maps::MapError;
pub use error::PolicyError;
use ferrule_common::policy::Word;
use ferrule_kernel::bpf::{PolicyMaps, policy_maps::Count};
use ferrule_model::{
    objects::Direction,
    policy::{Change, Endpoint, Engine, InForce, Issue, RuleName, Step, Summary},
};
use ferrule_source::{store, store::Reader};
use inner::Inner;
pub use limits::{BLOCKS, CLASSES, KEYS, TABLES};
use prometheus_client::metrics::histogram::Histogram;

use crate::{
    apply::Turns,
    flows::{Flows, Sweep},
};

/// Everybody's way to the policies.
pub struct Policy {
    inner: Mutex<Inner>,
    flows: Arc<Flows>,
    store: Reader,
    turns: Turns<PolicyError>,
    /// From a change's arrival to its last word's store, in seconds.
    in_force: Histogram,
}

impl Policy {
    /// Over the pinned maps; changes nothing yet.
    #[must_use]
    pub fn new(maps: PolicyMaps, flows: Arc<Flows>, store: Reader) -> Self {
        let inner = Inner::new(maps);
        Self { inner: Mutex::new(inner), flows, store, turns: Turns::default(), in_force: store::in_force() }
    }

    /// Waits until what the store says by now is in force, as far as the source allows.
    ///
    /// # Errors
    /// The kernel refused a write, which is tried again.
    pub async fn synced(&self) -> Result<(), Arc<PolicyError>> {
        self.turns.next().await
    }

    /// Puts in force what the store says now. The first snapshot needs to be whole where something is in force already.
    fn sync(&self) -> Result<(), PolicyError> {
        let mut inner = self.lock();
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
        let exchanged = exchanged::addresses(&before, &changes);
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

    /// Puts an endpoint's policies in force: before its addresses are known to any program, and after [`Self::synced`], so
    /// that its pod's labels are known. Idempotent. A direction whose policies do not fit is closed; the issue says so.
    ///
    /// # Errors
    /// Where they cannot be; the endpoint is then closed.
    pub fn install(&self, index: u32, endpoint: Endpoint) -> Result<(), PolicyError> {
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
