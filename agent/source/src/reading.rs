//! One file read so that nothing that stands there holds up the others: regular files alone, up to a size, each in a thread of
//! its own that is waited for only so long.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

/// The largest file that is read, in bytes.
pub(super) const MOST: u64 = 256 << 20;
/// How long a file is waited for before the others go on without it.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

/// What stands at a path.
#[derive(Debug)]
pub(super) enum Found {
    /// What was read last.
    Same,
    /// Something else.
    Text(Stamp, String),
    /// Nothing.
    Absent,
    /// What cannot be read, and why.
    Unreadable(String),
}

/// A look at a file that is under way.
#[derive(Debug)]
pub(super) struct Reading(Receiver<Found>);

impl Reading {
    /// Begins to look at a path; links are followed, since a mounted ConfigMap's files are such.
    pub(super) fn begin(path: PathBuf, last: Option<Stamp>) -> io::Result<Self> {
        Self::of(move || look(&path, last, MOST))
    }

    fn of(look: impl FnOnce() -> Found + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel();
        // It may wait for a file system for ever: then it outlives whoever asked.
        std::thread::Builder::new().name("manifest".into()).spawn(move || _ = sender.send(look()))?;
        Ok(Self(receiver))
    }

    /// What was found, where that is known by then.
    pub(super) fn wait(&self, patience: Duration) -> Option<Found> {
        match self.0.recv_timeout(patience) {
            Ok(found) => Some(found),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Found::Unreadable("cannot be read".to_owned())),
        }
    }
}

fn look(path: &Path, last: Option<Stamp>, most: u64) -> Found {
    let read = || -> Result<Found, String> {
        let words = |error: io::Error| error.to_string();
        let stamp = match fs::metadata(path) {
            Ok(metadata) => checked(&metadata, most)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Absent),
            Err(error) => return Err(error.to_string()),
        };
        if Some(stamp) == last {
            return Ok(Found::Same);
        }
        // What took its place meanwhile is not waited for either.
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
        let file = file.map_err(words)?;
        let stamp = checked(&file.metadata().map_err(words)?, most)?;
        Ok(Found::Text(stamp, text(&file, most)?))
    };
    read().unwrap_or_else(Found::Unreadable)
}

/// Of a file that may be read.
fn checked(metadata: &Metadata, most: u64) -> Result<Stamp, String> {
    if !metadata.is_file() {
        return Err(format!("is {}, and only regular files are read", kind(metadata.file_type())));
    }
    if metadata.len() > most {
        return Err(too_large(most));
    }
    Ok(Stamp::of(metadata))
}

fn text(file: &File, most: u64) -> Result<String, String> {
    let mut text = String::new();
    // It may grow, and some have no size before they are read.
    file.take(most + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > most { Err(too_large(most)) } else { Ok(text) }
}

fn too_large(most: u64) -> String {
    format!("is larger than a file of manifests may be ({} MiB); divide it", most >> 20)
}

fn kind(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() || kind.is_block_device() => "a device",
        _ => "something else",
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_while_it_is_read_is_too_large_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "x".repeat(11)).unwrap();
        let file = File::open(&path).unwrap();
        assert!(text(&file, 10).unwrap_err().starts_with("is larger than"));
        let found = look(&path, None, 11);
        assert!(matches!(&found, Found::Text(_, text) if text.len() == 11), "{found:?}");
        let Found::Text(stamp, _) = found else { unreachable!("see above") };
        assert!(matches!(look(&path, Some(stamp), 11), Found::Same));
    }

    #[test]
    fn a_file_that_never_answers_is_not_waited_for() {
        let (sender, receiver) = mpsc::channel();
        let reading = Reading::of(move || {
            receiver.recv().unwrap();
            Found::Absent
        });
        let reading = reading.unwrap();
        assert!(reading.wait(Duration::from_millis(50)).is_none());
        sender.send(()).unwrap();
        assert!(matches!(reading.wait(Duration::from_secs(10)), Some(Found::Absent)));
        let broken = Reading::of(|| panic!("on purpose")).unwrap();
        assert!(matches!(broken.wait(Duration::from_secs(10)), Some(Found::Unreadable(_))));
    }
}
