//! The objects of this moment: one writer (a source), many readers, whole snapshots.
//!
//! A reader never sees half of a change, holds no lock, and may skip snapshots when it is slow.

mod changed;

use std::sync::Arc;

pub use changed::Changed;
use changed::History;

use ferrule_model::objects::Objects;
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
}

/// A store and its first reader; the snapshot is empty and not synced.
#[must_use]
pub fn store() -> (Writer, Reader) {
    let (sender, receiver) = watch::channel(Stored::default());
    (Writer(sender), Reader(receiver))
}

/// The latest snapshot, and how it differs from those before it.
#[derive(Debug, Clone, Default)]
struct Stored {
    snapshot: Arc<Snapshot>,
    history: History,
}

/// The one writer.
#[derive(Debug)]
pub struct Writer(watch::Sender<Stored>);

impl Writer {
    /// Replaces the snapshot; false if nobody reads any more. Readers have to find out themselves what changed.
    pub fn replace(&mut self, snapshot: Snapshot) -> bool {
        self.send(snapshot, None)
    }

    /// Replaces the snapshot, and names all that changed; false if nobody reads any more.
    pub fn update(&mut self, snapshot: Snapshot, changed: Changed) -> bool {
        self.send(snapshot, Some(changed))
    }

    fn send(&self, snapshot: Snapshot, changed: Option<Changed>) -> bool {
        // The former snapshot may be the last of its kind: it goes when no reader waits for the lock any more.
        let mut snapshot = Arc::new(snapshot);
        self.0.send_modify(|stored| {
            std::mem::swap(&mut stored.snapshot, &mut snapshot);
            stored.history.push(changed);
        });
        !self.0.is_closed()
    }
}

/// A snapshot, and what changed since another one.
#[derive(Debug)]
pub struct News {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// Its number, for the next question.
    pub number: u64,
    /// What changed; none where nobody knows, so that everything has to be compared.
    pub changed: Option<Changed>,
}

/// A reader. Clones read independently of each other.
#[derive(Debug, Clone)]
pub struct Reader(watch::Receiver<Stored>);

impl Reader {
    /// The snapshot of this moment; it counts as seen.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        Arc::clone(&self.0.borrow_and_update().snapshot)
    }

    /// The snapshot of this moment, with what changed after the one of this number; it counts as seen.
    pub fn since(&mut self, number: u64) -> News {
        let Stored { snapshot, history } = self.0.borrow_and_update().clone();
        News { snapshot, number: history.number(), changed: history.since(number) }
    }

    /// Waits for a snapshot that was not seen; false if there will be none, since the writer is gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// Waits for the first snapshot of a synced source; none if the writer is gone before.
    pub async fn synced(&mut self) -> Option<Arc<Snapshot>> {
        self.0.wait_for(|stored| stored.snapshot.synced).await.ok().map(|stored| Arc::clone(&stored.snapshot))
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

    #[tokio::test]
    async fn a_reader_learns_what_changed_since_the_snapshot_that_it_knows() {
        let (mut writer, mut reader) = store();
        assert!(writer.replace(Snapshot::default()));
        let known = reader.since(0);
        assert_eq!((known.number, known.changed), (1, None));
        let named = |name: &str| Changed { namespaces: [name.into()].into(), ..Changed::default() };
        assert!(writer.update(Snapshot::default(), named("a")));
        assert!(writer.update(Snapshot { synced: true, ..Snapshot::default() }, named("b")));
        let news = reader.since(known.number);
        assert!(news.snapshot.synced);
        let both = Changed { namespaces: ["a".into(), "b".into()].into(), ..Changed::default() };
        assert_eq!((news.number, news.changed), (3, Some(both)));
        drop(reader);
        assert!(!writer.update(Snapshot::default(), named("c")));
    }
}
