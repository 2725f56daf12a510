//! The objects of this moment: one writer (a source), many readers, whole snapshots.
//!
//! A reader never sees half of a change, holds no lock, and may skip snapshots when it is slow.

use std::{sync::Arc, time::Instant};

use ferrule_model::objects::Objects;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::sync::watch;

use crate::source::Note;

/// All objects of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The objects.
    pub objects: Arc<Objects>,
    /// The source has been read once. Before, nothing may be concluded from an object's absence.
    pub synced: bool,
    /// All of the source has been read at least once. While it is not, objects may be missing that the source could
    /// not read yet (a file broken since before the agent started): what is there may be added, nothing removed.
    pub whole: bool,
    /// What the source has to say about its input.
    pub notes: Vec<Note>,
    /// When the first change reached the agent that only this snapshot and later ones hold.
    pub since: Option<Instant>,
}

/// A store and its first reader; the snapshot is empty and not synced.
#[must_use]
pub fn store() -> (Writer, Reader) {
    let (sender, receiver) = watch::channel(Arc::default());
    (Writer(sender), Reader(receiver))
}

/// What is counted from [`Snapshot::since`] on: from half a millisecond to four seconds.
#[must_use]
pub fn in_force() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 14))
}

/// The one writer.
#[derive(Debug)]
pub struct Writer(watch::Sender<Arc<Snapshot>>);

impl Writer {
    /// Replaces the snapshot; false if nobody reads any more.
    pub fn replace(&mut self, snapshot: Snapshot) -> bool {
        self.0.send(Arc::new(snapshot)).is_ok()
    }
}

/// A reader. Clones read independently of each other.
#[derive(Debug, Clone)]
pub struct Reader(watch::Receiver<Arc<Snapshot>>);

impl Reader {
    /// The snapshot of this moment; it counts as seen.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Waits for a snapshot that was not seen; false if there will be none, since the writer is gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// Waits for the first snapshot of a synced source; none if the writer is gone before.
    pub async fn synced(&mut self) -> Option<Arc<Snapshot>> {
        self.0.wait_for(|snapshot| snapshot.synced).await.ok().map(|snapshot| Arc::clone(&snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readers_see_whole_snapshots_and_may_skip_some() {
        let (mut writer, mut reader) = store();
        assert!(!reader.snapshot().synced);
        let mut waiting = reader.clone();
        assert!(writer.replace(Snapshot { whole: true, ..Snapshot::default() }));
        assert!(writer.replace(Snapshot { synced: true, ..Snapshot::default() }));
        assert!(reader.changed().await && reader.snapshot().synced);
        assert!(waiting.synced().await.is_some());
        drop(writer);
        assert!(!reader.changed().await);
    }
}
