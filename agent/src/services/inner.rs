//! What the agent knows of Services in force: the engine, what it still has to write, and what it has yet to remove.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

use aya::maps::MapError;
use ferrule_common::layout;
use ferrule_kernel::bpf::{ServiceMaps, service_maps::SETS};
use ferrule_model::{
    objects::Objects,
    service::{Applied, Backend, Engine, Found, Frontend, Issue, Limits, SetOf, Step, shared_with_pods},
};

use super::{
    ended::{Connected, Tried},
    error::ServiceError,
};
use crate::apply::{COMPARE, GRACE, Pace, Queue};

/// Behind the lock of [`super::Services`].
pub(super) struct Inner {
    pub maps: ServiceMaps,
    pub node: String,
    /// Whether a controller writes hints into the slices.
    pub hinted: bool,
    /// None before the source was read.
    pub engine: Option<Engine>,
    /// Steps that the kernel refused, and all that came after them.
    pub pending: Queue<Step>,
    /// Sets that nothing names, and since when.
    pub resting: VecDeque<(Instant, SetOf)>,
    /// Sets that a former agent left, or that somebody damaged.
    pub orphans: Option<(Instant, BTreeSet<u32>)>,
    /// Backends of UDP ports that left just now.
    pub left: HashSet<(Frontend, Backend)>,
    /// Sockets whose backends serve no more, as the last look over all entries found them.
    pub stale: Option<Vec<Connected>>,
    /// Those that were looked for.
    pub tried: Tried,
    /// The programs are on the cgroup.
    pub attached: bool,
    /// Whether the host's stack translates; none before it was asked.
    pub stack: Option<bool>,
    /// What went wrong last.
    pub error: Option<String>,
    /// When maps and programs were compared last.
    pub compared: Pace,
    /// When kube-proxy was looked for last.
    pub looked: Pace,
    /// Services whose addresses pods have, and for which objects that was looked at.
    pub shared: (Arc<Objects>, Vec<Issue>),
}

impl Inner {
    pub fn new(node: &str, hinted: bool, maps: ServiceMaps) -> Self {
        Self {
            maps,
            node: node.to_owned(),
            hinted,
            engine: None,
            pending: Queue::default(),
            resting: VecDeque::new(),
            orphans: None,
            left: HashSet::new(),
            stale: None,
            tried: Tried::default(),
            attached: false,
            stack: None,
            error: None,
            compared: Pace::due(COMPARE),
            looked: Pace::due(COMPARE),
            shared: (Arc::default(), Vec::new()),
        }
    }

    /// Whether it could begin: an absent object may only be late where the source is not `whole`.
    pub fn begin(&mut self, objects: &Arc<Objects>, whole: bool, in_force: bool) -> Result<bool, ServiceError> {
        let read = |source| ServiceError::Map { step: "read what is in force".into(), source };
        let found = self.maps.observe().map_err(read)?;
        if !whole && (in_force || found != Found::default()) {
            return Ok(false);
        }
        self.start(objects, &found)?;
        Ok(true)
    }

    pub fn start(&mut self, objects: &Arc<Objects>, found: &Found) -> Result<(), ServiceError> {
        let limits = Limits {
            // One entry says what becomes of packets.
            frontends: layout::SERVICES as usize - 1,
            backends: layout::BACKENDS as usize,
            members: layout::MEMBERS as usize,
            of_one: usize::from(u16::MAX),
            sets: SETS,
            parts: 4,
            kept: 16,
        };
        let (mut engine, orphans) = Engine::new(limits, &self.node, found);
        if !self.hinted {
            engine.follow_distribution();
        }
        let applied = engine.begin(objects);
        self.engine = Some(engine);
        self.resting.clear();
        self.orphans = (!orphans.is_empty()).then(|| (Instant::now(), orphans.iter().map(|set| set.set).collect()));
        self.take(applied)
    }

    /// Whether there was something to change.
    pub fn change(&mut self, objects: &Arc<Objects>) -> Result<bool, ServiceError> {
        let Some(engine) = &mut self.engine else { return Ok(false) };
        let applied = engine.apply(objects);
        if applied == Applied::default() {
            return Ok(false);
        }
        self.take(applied).map(|()| true)
    }

    fn take(&mut self, applied: Applied) -> Result<(), ServiceError> {
        self.pending.push(applied.steps);
        let now = Instant::now();
        self.resting.extend(applied.superseded.into_iter().map(|set| (now, set)));
        self.left.extend(applied.left);
        self.drain()
    }

    /// Carries out what waits, in order.
    pub fn drain(&mut self) -> Result<(), ServiceError> {
        let maps = &mut self.maps;
        self.pending
            .drain(|step| maps.apply(step).map_err(|source| ServiceError::Map { step: step.to_string(), source }))
    }

    /// Removes sets that nothing has named for a grace.
    pub fn retire(&mut self) -> Result<(), ServiceError> {
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

    /// Of UDP sockets that are connected to a Service those whose backend serves no more.
    pub fn stale(&self, connected: impl IntoIterator<Item = Connected>) -> Vec<Connected> {
        let Some(engine) = &self.engine else { return Vec::new() };
        let left = |socket: &Connected| engine.left([(socket.1, socket.2)]).next().is_some();
        connected.into_iter().filter(left).collect()
    }

    /// The sockets to be ended now. What a program led somewhere while that changed, and what left while no agent ran, no
    /// change tells of: the next look over all entries finds it.
    pub fn due(&mut self, now: Instant) -> Result<Vec<Connected>, MapError> {
        if !self.attached || !self.pending.is_empty() {
            return Ok(Vec::new());
        }
        let found = if self.left.is_empty() { self.stale.take() } else { Some(self.maps.connected()?) };
        let Some(found) = found else { return Ok(Vec::new()) };
        let stale = self.stale(found);
        Ok(self.tried.due(stale, &std::mem::take(&mut self.left), now))
    }

    pub fn differences(&self) -> Result<Vec<String>, MapError> {
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
    pub fn look_for_shared(&mut self, objects: &Arc<Objects>) {
        let Some(engine) = &self.engine else { return };
        if Arc::ptr_eq(&self.shared.0, objects) {
            return;
        }
        let issues = shared_with_pods(objects, |address| engine.service_at(address));
        self.shared = (Arc::clone(objects), issues);
    }
}
