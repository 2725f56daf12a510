//! The task that follows the store at once, tries again what the kernel refused, and removes what was superseded.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_api::chain::chain;
use ferrule_source::store::{Reader, Snapshot};

use super::{GRACE, Inner, Policy, PolicyError};

/// How soon a refused step is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often maps are compared with what was written.
const COMPARE: Duration = Duration::from_secs(15);

impl Policy {
    /// Follows the store until its writer is gone.
    pub async fn keep(self: Arc<Self>, mut store: Reader) {
        loop {
            // What is there now counts as seen.
            store.snapshot();
            let policy = Arc::clone(&self);
            let followed = tokio::task::spawn_blocking(move || {
                policy.follow()?;
                let mut inner = policy.lock();
                inner.retire()?;
                inner.compare()
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

    /// Compiles everything anew where somebody else has emptied a map; words are compared with each endpoint.
    fn compare(&mut self) -> Result<(), PolicyError> {
        let resting = self.compared.elapsed() < COMPARE || self.stored.elapsed() < GRACE;
        if resting || !self.pending.is_empty() || !self.tidied || self.engine.is_none() {
            return Ok(());
        }
        self.compared = Instant::now();
        if self.recount().map_err(|source| PolicyError::Map { step: "read maps".into(), source })? {
            return Ok(());
        }
        tracing::warn!("entries of fr_policy, fr_classes or fr_blocks are missing; all policies are written anew");
        self.engine = None;
        self.tidied = false;
        let (objects, synced, whole) = (Arc::clone(&self.objects), true, true);
        self.begin(&Snapshot { objects, synced, whole, ..Snapshot::default() })
    }
}
