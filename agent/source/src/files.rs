//! Watches a directory of manifests and feeds the store: inotify for what changes, a scan every 30 s for what inotify
//! missed, and every second while the directory is not there.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    Level, Note,
    folder::{Contents, Folder},
};
use crate::store::{Snapshot, Writer};

/// How long a burst of changes may last before the directory is read: editors and `cp` touch a file several times.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How often the directory is read without being asked.
const RESCAN: Duration = Duration::from_secs(30);
/// How often a directory that cannot be watched is tried.
const RETRY: Duration = Duration::from_secs(1);

/// Watches `directory` and replaces the store's snapshot whenever it changes. Ends when nobody reads the store any more;
/// to stop it, drop the future.
pub async fn run(directory: PathBuf, mut store: Writer) {
    let mut folder = Folder::new(directory);
    let mut watch = Watch::new();
    let mut last: Option<Contents> = None;
    loop {
        // First the watch, then the scan, so that no change falls between them.
        watch.renew(folder.path());
        let since = Some(Instant::now());
        let (next, contents) = match tokio::task::spawn_blocking(move || scan(folder)).await {
            Ok(scanned) => scanned,
            Err(failed) => std::panic::resume_unwind(failed.into_panic()),
        };
        folder = next;
        if last.as_ref() != Some(&contents) {
            report(&contents.notes, last.as_ref().map_or(&[], |last| &last.notes));
            let (synced, whole) = (contents.listed, contents.whole);
            let (objects, notes) = (contents.objects.clone().into(), contents.notes.clone());
            if !store.replace(Snapshot { objects, synced, whole, notes, since, ..Snapshot::default() }) {
                return;
            }
            last = Some(contents);
        }
        watch.wait().await;
    }
}

fn scan(mut folder: Folder) -> (Folder, Contents) {
    let contents = folder.scan();
    (folder, contents)
}

/// Logs what was not said before.
fn report(notes: &[Note], before: &[Note]) {
    for note in notes.iter().filter(|note| !before.contains(note)) {
        match note.level {
            Level::Error => warn!(%note, "manifest"),
            Level::Note => info!(%note, "manifest"),
        }
    }
}

/// An inotify watch that follows a path, whichever directory stands there.
struct Watch {
    watcher: Option<notify::RecommendedWatcher>,
    /// Device and inode of the directory that is watched.
    watched: Option<(u64, u64)>,
    sender: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    fn new() -> Self {
        let (sender, changes) = mpsc::channel(1);
        Self { watcher: None, watched: None, sender, changes }
    }

    /// Watches what now stands at `path`.
    fn renew(&mut self, path: &Path) {
        let standing = std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if self.watcher.is_some() && standing.is_some() && self.watched == standing {
            return;
        }
        (self.watcher, self.watched) = (None, None);
        if standing.is_none() {
            return;
        }
        match self.attach(path) {
            Ok(watcher) => (self.watcher, self.watched) = (Some(watcher), standing),
            Err(error) => {
                warn!(path = %path.display(), %error, "cannot watch the manifests; reading them every second instead");
            }
        }
    }

    fn attach(&self, path: &Path) -> notify::Result<notify::RecommendedWatcher> {
        let sender = self.sender.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading is no change; an error (an overflow) may hide one. A full channel has one waiting.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                _ = sender.try_send(());
            }
        })?;
        watcher.watch(path, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }

    /// Until something changed, or it is time to look.
    async fn wait(&mut self) {
        let patience = if self.watcher.is_some() { RESCAN } else { RETRY };
        if tokio::time::timeout(patience, self.changes.recv()).await.is_ok() {
            tokio::time::sleep(DEBOUNCE).await;
            while self.changes.try_recv().is_ok() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ferrule_model::desired::Own;

    use super::*;
    use crate::store::{self, Reader};

    async fn until(reader: &mut Reader, what: &str, wanted: impl Fn(&Snapshot) -> bool) {
        let waiting = async {
            while !wanted(&reader.snapshot()) {
                assert!(reader.changed().await, "the source ended");
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        assert!(outcome.is_ok(), "{what}: {:#?}", reader.snapshot());
    }

    fn namespace(name: &str) -> String {
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n")
    }

    #[tokio::test]
    async fn changes_reach_the_store_also_when_the_directory_comes_late_or_again() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("manifests");
        let (writer, mut reader) = store::store(Own::default());
        let source = tokio::spawn(run(dir.clone(), writer));
        until(&mut reader, "missing", |snapshot| !snapshot.notes.is_empty() && !snapshot.synced).await;
        for round in ["first", "second"] {
            fs::create_dir(&dir).unwrap();
            fs::write(dir.join("a.yaml"), namespace(round)).unwrap();
            until(&mut reader, "created", |snapshot| {
                snapshot.synced && snapshot.objects.namespaces.contains_key(round)
            })
            .await;
            fs::write(dir.join(".b"), namespace("more")).unwrap();
            fs::rename(dir.join(".b"), dir.join("b.yaml")).unwrap();
            until(&mut reader, "renamed", |snapshot| snapshot.objects.namespaces.len() == 2).await;
            fs::remove_file(dir.join("b.yaml")).unwrap();
            until(&mut reader, "removed", |snapshot| snapshot.objects.namespaces.len() == 1).await;
            fs::remove_dir_all(&dir).unwrap();
            until(&mut reader, "gone", |snapshot| !snapshot.notes.is_empty()).await;
        }
        source.abort();
    }

    #[tokio::test]
    async fn the_source_ends_with_its_last_reader() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, reader) = store::store(Own::default());
        drop(reader);
        tokio::time::timeout(Duration::from_secs(10), run(dir.path().to_owned(), writer)).await.unwrap();
    }
}
