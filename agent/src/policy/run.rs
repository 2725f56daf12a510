//! The task that owns the policies: it puts in force what the store says, tries again what the kernel refused, and removes
//! what was superseded.

use std::sync::Arc;

use ferrule_api::chain::chain;
use ferrule_source::store::{Reader, Snapshot};

use super::{Policy, error::PolicyError, inner::Inner};
use crate::apply::{AGAIN, GRACE};

impl Policy {
    /// Runs until the store's writer is gone.
    pub async fn run(self: Arc<Self>, mut store: Reader) {
        loop {
            // What is there now counts as seen.
            store.snapshot();
            let policy = Arc::clone(&self);
            let turn = tokio::task::spawn_blocking(move || policy.turn()).await;
            if let Ok(Err(error)) = turn {
                tracing::error!(error, "policies");
            }
            tokio::select! {
                more = store.changed() => if !more { break },
                () = self.turns.asked() => {}
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
        self.turns.close();
    }

    /// Blocks.
    fn turn(&self) -> Result<(), String> {
        let turn = self.turns.begin();
        let synced = self.sync();
        let words = synced.as_ref().err().map(|error| chain(error));
        self.turns.end(turn, synced);
        if let Some(words) = words {
            return Err(words);
        }
        let mut inner = self.lock();
        inner.retire().and_then(|()| inner.compare()).map_err(|error| chain(&error))
    }
}

impl Inner {
    /// Removes what was superseded a grace ago, by this agent and by a former one.
    fn retire(&mut self) -> Result<(), PolicyError> {
        if !self.retired.is_due() || !self.pending.is_empty() || self.engine.is_none() {
            return Ok(());
        }
        self.retired.done();
        if !self.tidied {
            self.tidy()?;
        }
        if let Some(engine) = self.engine.as_mut().filter(|engine| !engine.is_settled()) {
            self.pending.push(engine.retire());
        }
        self.drain()
    }

    /// Compiles everything anew where somebody else has emptied a map; words are compared with each endpoint.
    fn compare(&mut self) -> Result<(), PolicyError> {
        let resting = !self.compared.is_due() || self.stored.elapsed() < GRACE;
        if resting || !self.pending.is_empty() || !self.tidied || self.engine.is_none() {
            return Ok(());
        }
        self.compared.done();
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
