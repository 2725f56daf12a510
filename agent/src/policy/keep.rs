//! The task that follows the store at once, tries again what the kernel refused, and removes what was superseded.

use std::{sync::Arc, time::Duration};

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
            match tokio::time::timeout(AGAIN, store.changed()).await {
                Ok(false) => return,
                Ok(true) | Err(_) => {}
            }
        }
    }
}

impl Inner {
    /// Removes what was superseded a grace ago: what a former agent left, then what this one did.
    fn retire(&mut self) -> Result<(), PolicyError> {
        if self.changed.elapsed() < GRACE || !self.pending.is_empty() {
            return Ok(());
        }
        let Some(engine) = &mut self.engine else { return Ok(()) };
        if let Some(former) = self.former.take()
            && !former.is_empty()
        {
            // An endpoint whose lease was lost goes on with what it had.
            let named =
                self.maps.named_tables().map_err(|source| PolicyError::Map { step: "read words".into(), source })?;
            let left = self.maps.left().map_err(|source| PolicyError::Map { step: "read tables".into(), source })?;
            let mut kept = std::collections::BTreeSet::from([engine.generation()]);
            kept.extend(
                left.tables.iter().filter(|(table, _)| named.contains(table)).map(|(_, generation)| *generation),
            );
            self.maps
                .remove_others(&kept)
                .map_err(|source| PolicyError::Map { step: "remove a former agent's tables".into(), source })?;
            let gone = former.into_iter().filter(|table| !named.contains(table)).collect();
            engine.release(&gone);
        }
        if !engine.is_settled() {
            let steps = engine.retire();
            self.pending.extend(steps);
            self.changed = std::time::Instant::now();
        }
        self.drain()
    }
}
