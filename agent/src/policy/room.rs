//! Room in the maps: what is garbage and goes first; what the kernel holds, counted.

use std::{collections::BTreeSet, time::Instant};

use aya::maps::MapError;
use ferrule_kernel::bpf::policy_maps::Count;
use ferrule_model::policy::Engine;

use super::{error::PolicyError, inner::Inner};
use crate::apply::GRACE;

impl Inner {
    /// Removes what nothing names. Where that is nothing, a former agent's tables take the room: the endpoints that have
    /// them still are closed, those first whose leases were lost, until their own tables are there. Whether it is worth
    /// trying again.
    pub(super) fn make_room(&mut self) -> Result<bool, PolicyError> {
        if self.stored.elapsed() < GRACE {
            // What the last words named may still be looked into; soon it is not.
            return Ok(false);
        }
        if self.tidy()? {
            return Ok(true);
        }
        let failed = |source| PolicyError::Map { step: "close what a former agent's tables serve".into(), source };
        let known = &self.endpoints;
        let closed = self.maps.close(&self.former, |index| !known.contains_key(&index)).map_err(failed)?
            || self.maps.close(&self.former, |_| true).map_err(failed)?;
        if closed {
            tracing::error!(
                "the policy maps have no room beside a former agent's tables: pods that have these are closed until theirs are written"
            );
            self.stored = Instant::now();
        }
        Ok(false)
    }

    /// Removes a former agent's tables that no word names any more, with all their keys, before their numbers are given
    /// again. One that a word names stays: an endpoint whose lease was lost goes on with what it had. Whether anything was
    /// removed.
    pub(super) fn tidy(&mut self) -> Result<bool, PolicyError> {
        let Some(engine) = &mut self.engine else { return Ok(false) };
        let failed = |source| PolicyError::Map { step: "remove a former agent's tables".into(), source };
        let named = self.maps.named_tables().map_err(failed)?;
        let (kept, gone): (BTreeSet<u32>, BTreeSet<u32>) = self.former.iter().partition(|table| named.contains(table));
        let kept_or_own = kept.iter().copied().chain(engine.tables()).collect();
        let removed = self.maps.keep_only(&kept_or_own, Some(engine.generation())).map_err(failed)?;
        engine.release(&gone);
        self.tidied = kept.is_empty();
        self.former = kept;
        if removed {
            self.recount().map_err(failed)?;
        }
        Ok(removed)
    }

    /// Counts what the maps hold; whether that is at least as much as was written: what somebody else removed is missed.
    pub(super) fn recount(&mut self) -> Result<bool, MapError> {
        let Some(engine) = &self.engine else { return Ok(true) };
        let (summary, (all, own)) = (engine.summary(), self.maps.count(engine.generation())?);
        self.counted = (all, summary);
        Ok(own.keys >= summary.keys && own.classes >= summary.addresses && own.blocks >= summary.blocks)
    }

    /// What the maps hold: as they were counted last, and what the engine did since.
    pub(super) fn held(&self) -> Count {
        let (all, then) = self.counted;
        let now = self.engine.as_ref().map(Engine::summary).unwrap_or_default();
        let moved = |held: usize, then: usize, now: usize| (held + now).saturating_sub(then);
        Count {
            tables: moved(all.tables, then.tables, now.tables),
            keys: moved(all.keys, then.keys, now.keys),
            classes: moved(all.classes, then.addresses, now.addresses),
            blocks: moved(all.blocks, then.blocks, now.blocks),
        }
    }
}
