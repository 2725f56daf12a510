//! The maps of everybody who is not a pod of this node, brought to what the model says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use aya::maps::MapError;
use ferrule_api::chain::chain;
use ferrule_kernel::bpf::RemoteMaps;
use ferrule_model::{
    desired::{Desired, Remote},
    plan::{Step, plan},
};

use crate::flows::{Flows, Sweep};

/// How long a removed node's index is not given to another: packets on their way may still name it.
const REST: Duration = Duration::from_secs(30);
/// How long what the maps hold is taken from memory.
const REREAD: Duration = Duration::from_secs(15);

/// What the maps hold.
enum Seen {
    /// What was read, and all steps since.
    Read(Remote),
    /// What the model said: kept once, however many pods there are.
    As(Arc<Desired>),
}

impl Seen {
    fn remote(&self) -> &Remote {
        match self {
            Self::Read(remote) => remote,
            Self::As(desired) => &desired.remote,
        }
    }
}

/// The maps' only writer.
pub(super) struct Keeper {
    maps: RemoteMaps,
    resting: BTreeMap<u32, Instant>,
    /// What the maps hold, and when they were read.
    seen: Option<(Instant, Seen)>,
}

impl Keeper {
    pub fn new(maps: RemoteMaps) -> Self {
        Self { maps, resting: BTreeMap::new(), seen: None }
    }

    /// Reads the maps now and then, or `anew`, to find what somebody else changed: whether they differ from what was
    /// written.
    pub fn look(&mut self, anew: bool) -> Result<bool, MapError> {
        if let Some((read, _)) = &self.seen
            && !anew
            && read.elapsed() < REREAD
        {
            return Ok(false);
        }
        if let Some((read, seen)) = &mut self.seen
            && self.maps.hold(seen.remote())?
        {
            *read = Instant::now();
            return Ok(false);
        }
        self.seen = Some((Instant::now(), Seen::Read(self.maps.observe()?)));
        Ok(true)
    }

    /// What the maps hold.
    pub fn observed(&self) -> Option<&Remote> {
        self.seen.as_ref().map(|(_, seen)| seen.remote())
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
    pub fn apply(&mut self, desired: &Arc<Desired>, whole: bool, flows: &Flows) -> Result<(), String> {
        let Some((_, seen)) = &self.seen else { return Ok(()) };
        let steps = plan(seen.remote(), &desired.remote);
        let (kept, steps): (Vec<_>, Vec<_>) = steps.into_iter().partition(|step| !whole && removes(step));
        self.carry_out(desired, &steps, kept.is_empty(), flows)
    }

    /// Whether the maps hold what this state says, as far as is known.
    pub fn holds(&self, desired: &Arc<Desired>) -> bool {
        matches!(&self.seen, Some((_, Seen::As(known))) if Arc::ptr_eq(known, desired))
    }

    /// Carries out all the steps that lead from what the maps hold to another state.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub fn follow(&mut self, desired: &Arc<Desired>, steps: &[Step], flows: &Flows) -> Result<(), String> {
        self.carry_out(desired, steps, true, flows)
    }

    fn carry_out(
        &mut self,
        desired: &Arc<Desired>,
        steps: &[Step],
        complete: bool,
        flows: &Flows,
    ) -> Result<(), String> {
        let Some((read, seen)) = &mut self.seen else { return Ok(()) };
        let mut done = 0;
        let outcome = steps.iter().try_for_each(|step| {
            // Whoever gets an address anew gets no flow of its former owner.
            if matches!(step, Step::SetPeer(address, _) if flows.is_lost(*address)) {
                flows.sweep(Sweep::Stale).map_err(|error| format!("flows cannot be swept: {}", chain(&error)))?;
            }
            let applied = self.maps.apply(step);
            applied.map_err(|error| format!("{step}: {}; a full map takes no more entries", chain(&error)))?;
            done += 1;
            match step {
                Step::RemoveNode(index) => _ = self.resting.insert(*index, Instant::now()),
                Step::RemovePeer(address) => flows.lose(*address),
                _ => {}
            }
            Ok(())
        });
        if outcome.is_ok() && complete {
            *seen = Seen::As(Arc::clone(desired));
            return Ok(());
        }
        let mut remote = seen.remote().clone();
        steps[..done].iter().for_each(|step| step.apply(&mut remote));
        self.seen = Some((*read, Seen::Read(remote)));
        outcome
    }
}

const fn removes(step: &Step) -> bool {
    matches!(step, Step::RemoveNode(_) | Step::RemovePeer(_) | Step::RemovePrefix(_) | Step::RemoveCluster(_))
}
