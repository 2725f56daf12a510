//! The maps of everybody who is not a pod of this node, brought to what the model says.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use aya::maps::MapError;
use ferrule_model::{
    desired::Remote,
    plan::{Step, plan},
};

use super::chain;
use crate::bpf::RemoteMaps;

/// How long a removed node's index is not given to another: packets on their way may still name it.
const REST: Duration = Duration::from_secs(30);
/// How long what the maps hold is taken from memory.
const REREAD: Duration = Duration::from_secs(15);

/// The maps' only writer.
pub(super) struct Keeper {
    maps: RemoteMaps,
    resting: BTreeMap<u32, Instant>,
    /// What the maps hold, as of the last reading and all steps since.
    observed: Option<(Instant, Remote)>,
}

impl Keeper {
    pub fn new(maps: RemoteMaps) -> Self {
        Self { maps, resting: BTreeMap::new(), observed: None }
    }

    /// Reads the maps now and then, or `anew`, to find what somebody else changed: whether they differ from what was
    /// written.
    pub fn look(&mut self, anew: bool) -> Result<bool, MapError> {
        if !anew && self.observed.as_ref().is_some_and(|(read, _)| read.elapsed() < REREAD) {
            return Ok(false);
        }
        let found = self.maps.observe()?;
        let differs = self.observed.as_ref().is_none_or(|(_, known)| *known != found);
        self.observed = Some((Instant::now(), found));
        Ok(differs)
    }

    /// What the maps hold.
    pub fn observed(&self) -> Option<&Remote> {
        self.observed.as_ref().map(|(_, remote)| remote)
    }

    /// Node indices that nothing may take yet.
    pub fn resting(&mut self) -> BTreeSet<u32> {
        self.resting.retain(|_, since| since.elapsed() < REST);
        self.resting.keys().copied().collect()
    }

    /// Carries out the plan; what removes something only where the source is `whole`.
    ///
    /// # Errors
    /// In words, at the first step that fails: what follows may rest on it, and the next round plans anew.
    pub fn apply(&mut self, desired: &Remote, whole: bool) -> Result<(), String> {
        let Some((_, observed)) = &mut self.observed else { return Ok(()) };
        for step in plan(observed, desired) {
            if !whole && removes(&step) {
                continue;
            }
            self.maps
                .apply(&step)
                .map_err(|error| format!("{step}: {}; a full map takes no more entries", chain(&error)))?;
            step.apply(observed);
            if let Step::RemoveNode(index) = step {
                self.resting.insert(index, Instant::now());
            }
        }
        Ok(())
    }
}

const fn removes(step: &Step) -> bool {
    matches!(step, Step::RemoveNode(_) | Step::RemovePeer(_) | Step::RemovePrefix(_) | Step::RemoveCluster(_))
}
