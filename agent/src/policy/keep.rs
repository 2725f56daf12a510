//! The task that follows the store at once, tries again what the kernel refused, and removes what was superseded.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{GRACE, Inner, Policy, PolicyError};
use crate::{reconcile::chain, store::Reader};

/// How soon a refused step is tried again.
const AGAIN: Duration = Duration::from_secs(1);

impl Policy {
    /// Follows the store until its writer is gone.
    pub async fn keep(self: Arc<Self>, mut store: Reader) {
        loop {
            let snapshot = store.snapshot();
            let policy = Arc::clone(&self);
            let followed = tokio::task::spawn_blocking(move || {
                policy.follow(&snapshot)?;
                policy.lock().retire()
            })
            .await;
            if let Ok(Err(error)) = followed {
                tracing::error!(error = chain(&error), "policies");
            }
            if let Ok(false) = tokio::time::timeout(AGAIN, store.changed()).await {
                return;
            }
        }
    }
}

impl Inner {
    /// Removes what was superseded a grace ago, by this agent and by a former one.
    fn retire(&mut self) -> Result<(), PolicyError> {
        if self.retired.elapsed() < GRACE || !self.pending.is_empty() || self.engine.is_none() {
            return Ok(());
        }
        self.retired = Instant::now();
        if !self.tidied {
            self.tidy()?;
        }
        if let Some(engine) = self.engine.as_mut().filter(|engine| !engine.is_settled()) {
            let steps = engine.retire();
            self.pending.extend(steps);
        }
        self.drain()
    }

    /// Removes a former agent's tables that no word names any more, with all their keys, before their numbers are given
    /// again. One that a word names stays: an endpoint whose lease was lost goes on with what it had.
    fn tidy(&mut self) -> Result<(), PolicyError> {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let failed = |source| PolicyError::Map { step: "remove a former agent's tables".into(), source };
        let named = self.maps.named_tables().map_err(failed)?;
        let (kept, gone): (BTreeSet<u32>, BTreeSet<u32>) = self.former.iter().partition(|table| named.contains(table));
        self.maps.remove_tables(&gone, engine.generation()).map_err(failed)?;
        engine.release(&gone);
        self.tidied = kept.is_empty();
        self.former = kept;
        Ok(())
    }
}
