//! What the agent knows of policies in force: the engine, what it still has to write, and what a former agent left.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_common::policy::Word;
use ferrule_kernel::bpf::{PolicyMaps, policy_maps::Count};
use ferrule_model::{
    objects::Objects,
    policy::{self, Change, Endpoint, Engine, Step, Summary},
};
use ferrule_source::store::Snapshot;

use super::{diff, error::PolicyError, limits::limits};
use crate::apply::{COMPARE, GRACE, Pace, Queue};

/// Behind the lock of [`super::Policy`].
pub(super) struct Inner {
    pub maps: PolicyMaps,
    /// None before the source was read.
    pub engine: Option<Engine>,
    /// Endpoints that attachments told of.
    pub endpoints: BTreeMap<u32, Endpoint>,
    /// Those that were there when the agent started are among them.
    pub all_known: bool,
    /// The snapshot that the engine knows.
    pub objects: Arc<Objects>,
    /// Steps that the kernel refused, and all that came after them.
    pub pending: Queue<Step>,
    /// When words were stored last: until a grace later a program may look into what they named before.
    pub stored: Instant,
    /// What the maps held when they were counted last, and what the engine believed then.
    pub counted: (Count, Summary),
    /// When what was superseded was removed last.
    pub retired: Pace,
    /// Tables of a former agent that are not removed yet.
    pub former: BTreeSet<u32>,
    /// What a former agent left was looked at, and all that nothing names has gone.
    pub tidied: bool,
    /// When the maps were compared with what was written last.
    pub compared: Pace,
    /// From the snapshot to the last word's store, the last time that words were stored.
    pub took: Option<Duration>,
}

impl Inner {
    /// Nothing is known yet.
    pub fn new(maps: PolicyMaps) -> Self {
        Self {
            maps,
            engine: None,
            endpoints: BTreeMap::new(),
            all_known: false,
            objects: Arc::default(),
            pending: Queue::default(),
            stored: Instant::now(),
            counted: <_>::default(),
            retired: Pace::resting(GRACE),
            former: BTreeSet::new(),
            tidied: false,
            compared: Pace::resting(COMPARE),
            took: None,
        }
    }

    pub fn begin(&mut self, snapshot: &Snapshot) -> Result<(), PolicyError> {
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
        self.retired.done();
        self.objects = Arc::clone(&snapshot.objects);
        let mut changes = diff::changes(&Objects::default(), &snapshot.objects);
        changes.extend(self.endpoints.iter().map(|(index, endpoint)| Change::Endpoint(*index, Some(endpoint.clone()))));
        self.change(changes)
    }

    pub fn change(&mut self, changes: Vec<Change>) -> Result<(), PolicyError> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let steps = engine.apply(changes);
        self.pending.push(steps);
        self.drain()
    }

    /// Stores an endpoint's word again, where somebody else has changed it.
    pub fn restore(&mut self, index: u32, [ingress, egress]: [u32; 2]) -> Result<(), PolicyError> {
        let step = Step::SetWords(vec![policy::Word { index, ingress, egress }]);
        let failed = |source| PolicyError::Map { step: step.to_string(), source };
        let word = self.maps.word(index).map_err(failed)?;
        if [word.ingress(), word.egress()] == [ingress, egress] && word != Word::UNKNOWN {
            return Ok(());
        }
        self.maps.apply(&step, 0).map_err(|source| PolicyError::Map { step: step.to_string(), source })
    }

    /// Carries out what waits, in order. Where a map is full, garbage goes first.
    pub fn drain(&mut self) -> Result<(), PolicyError> {
        loop {
            let Some(engine) = &self.engine else { return Ok(()) };
            let (maps, generation, stored) = (&mut self.maps, engine.generation(), &mut self.stored);
            let drained: Result<(), PolicyError> = self.pending.drain(|step| {
                let shown = |source| PolicyError::Map { step: shortened(&step.to_string()), source };
                maps.apply(step, generation).map_err(shown)?;
                if matches!(step, Step::SetWords(_)) {
                    *stored = Instant::now();
                }
                Ok(())
            });
            match drained {
                Err(error) if error.is_full() && self.make_room()? => {}
                other => return other,
            }
        }
    }
}

/// Steps may name thousands of keys.
fn shortened(text: &str) -> String {
    text.chars().take(120).collect()
}
