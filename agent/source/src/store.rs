//! The objects of this moment: one writer (a source), many readers, whole snapshots.
//!
//! What objects say about addresses that are not theirs is taken out on the way in, so that all readers agree on it.
//! A reader never sees half of a change, holds no lock, and may skip snapshots when it is slow.

use std::{sync::Arc, time::Instant};

use ferrule_model::{
    desired::{Issue, Own, Screen},
    objects::Objects,
};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use tokio::sync::watch;

use crate::Note;

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
    /// What was taken out of the objects, and why.
    pub refused: Arc<Vec<Issue>>,
    /// When the first change reached the agent that only this snapshot and later ones hold.
    pub since: Option<Instant>,
}

/// A store and its first reader; the snapshot is empty and not synced. `own` is what objects are held against.
#[must_use]
pub fn store(own: Own) -> (Writer, Reader) {
    let (sender, receiver) = watch::channel(Arc::default());
    (Writer { sender, screen: Screen::new(own) }, Reader(receiver))
}

/// What is counted from [`Snapshot::since`] on: from half a millisecond to four seconds.
#[must_use]
pub fn in_force() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 14))
}

/// The one writer.
#[derive(Debug)]
pub struct Writer {
    sender: watch::Sender<Arc<Snapshot>>,
    screen: Screen,
}

impl Writer {
    /// Replaces the snapshot by what passes of it; false if nobody reads any more.
    pub fn replace(&mut self, mut snapshot: Snapshot) -> bool {
        if snapshot.synced {
            // Of a source that was not read to its end nothing is remembered: whoever stands in it may not be the first.
            let mut forgetful = (!snapshot.whole).then(|| self.screen.anew());
            let screened = forgetful.as_mut().unwrap_or(&mut self.screen).screen(&snapshot.objects);
            snapshot.objects = Arc::new(screened.objects);
            snapshot.refused = screened.issues;
        }
        self.sender.send(Arc::new(snapshot)).is_ok()
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
    use ferrule_model::objects::Node;

    use super::*;

    #[tokio::test]
    async fn readers_see_whole_snapshots_and_may_skip_some() {
        let (mut writer, mut reader) = store(Own::default());
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
    async fn what_is_not_an_objects_own_reaches_no_reader() {
        let node = |name: &str, ip: [u8; 4], created| Node {
            name: name.into(),
            created,
            internal_ips: vec![ip.into()],
            pod_cidrs: vec![format!("10.0.{created}.0/24").parse().unwrap()],
            ..Node::default()
        };
        let mut objects = Objects::default();
        for node in [node("a", [192, 0, 2, 1], 1), node("b", [10, 0, 1, 9], 2)] {
            objects.nodes.insert(node.name.clone(), node.into());
        }
        let (mut writer, mut reader) = store(Own::default());
        let snapshot =
            |synced| Snapshot { objects: Arc::new(objects.clone()), synced, whole: synced, ..Snapshot::default() };
        writer.replace(snapshot(false));
        assert_eq!(reader.snapshot().objects.nodes["b"].internal_ips.len(), 1, "not all of it has been read");
        writer.replace(snapshot(true));
        let seen = reader.snapshot();
        assert_eq!(seen.objects.nodes["b"].internal_ips.len(), 0, "an address among another's pods");
        assert_eq!(seen.refused.len(), 1, "{:?}", seen.refused);
    }

    #[tokio::test]
    async fn who_stands_in_a_part_of_the_source_is_not_the_first() {
        let node = |name: &str, created| Node {
            name: name.into(),
            created,
            pod_cidrs: vec!["10.0.1.0/24".parse().unwrap()],
            ..Node::default()
        };
        let (mut writer, mut reader) = store(Own::default());
        let mut objects = Objects::default();
        let mut replace = |node: Node, whole| {
            objects.nodes.insert(node.name.clone(), node.into());
            writer.replace(Snapshot { objects: Arc::new(objects.clone()), synced: true, whole, ..Snapshot::default() });
            let seen = reader.snapshot();
            let owner = seen.objects.nodes.values().find(|node| !node.pod_cidrs.is_empty());
            owner.map(|node| node.name.to_string())
        };
        assert_eq!(replace(node("b", 2), false).as_deref(), Some("b"));
        assert_eq!(replace(node("a", 1), true).as_deref(), Some("a"), "the older one's file was not read yet");
        assert_eq!(replace(node("c", 0), true).as_deref(), Some("a"), "now it is");
    }
}
