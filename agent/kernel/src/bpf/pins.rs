//! Where maps and links are pinned: `<bpffs>/maps-v<version>-<hash>/<map>`, `<bpffs>/links/<device>-<direction>` and
//! `<bpffs>/links/cgroup-<program>`.
//!
//! The maps' layout stands in the path, since reusing a pin checks nothing.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use ferrule_common::layout;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::hook::Direction;

/// The agent's folder in a BPF file system.
#[derive(Debug, Clone)]
pub struct Pins {
    root: PathBuf,
}

/// Why pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    /// The folder lies on another kind of file system.
    #[error("{path}: no BPF file system is mounted there; mount one (mount -t bpf bpf /sys/fs/bpf) or set --bpffs")]
    NotBpf {
        /// The folder, or the nearest one above it that exists.
        path: PathBuf,
    },
    /// A folder could not be made or read.
    #[error("{path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Pins {
    /// Takes `root` as the agent's folder, without touching it.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The agent's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folders, for root alone.
    ///
    /// # Errors
    /// Where no BPF file system is mounted, or a folder cannot be made.
    pub fn prepare(&self) -> Result<(), PinsError> {
        self.is_on_bpffs()?;
        for folder in [self.root.clone(), self.maps(), self.links()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|source| self.io(&folder, source))?;
        }
        Ok(())
    }

    /// Whether the agent's folder lies, or would lie, in a BPF file system.
    ///
    /// # Errors
    /// Where it does not.
    pub fn is_on_bpffs(&self) -> Result<(), PinsError> {
        let existing = self.root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let magic = statfs(existing).map_err(|errno| self.io(existing, errno.into()))?.filesystem_type();
        if magic != BPF_FS_MAGIC {
            return Err(PinsError::NotBpf { path: existing.to_owned() });
        }
        Ok(())
    }

    /// Whether a folder can be made there: AppArmor, SELinux and a mount for reading only forbid it.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn is_writable(&self) -> Result<(), PinsError> {
        let existing = self.root.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let probe = existing.join(format!("ferrule-preflight-{}", std::process::id()));
        let tried = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe));
        tried.map_err(|error| self.io(&probe, error))
    }

    /// The folder of this layout's maps.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join(format!("maps-v{}-{:08x}", layout::VERSION, layout_hash()))
    }

    /// The pin of a map.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// The folder of links.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// The pin of a device's link.
    #[must_use]
    pub fn link(&self, device: &str, direction: Direction) -> PathBuf {
        // A dot begins a hidden name, which a BPF file system refuses anywhere in a name.
        self.links().join(format!("{}-{}", device.replace('.', ":"), direction.name()))
    }

    /// The pin of a socket program's link. It lies among the devices', so that a version without socket programs takes
    /// these off, rather than leave them with what they were told last.
    #[must_use]
    pub fn socket_link(&self, program: &str) -> PathBuf {
        self.links().join(format!("cgroup-{program}"))
    }

    /// Whether maps of this layout are pinned already.
    #[must_use]
    pub fn has_maps(&self) -> bool {
        layout::MAPS.iter().all(|map| self.map(map.name).exists())
    }

    /// The folders of other layouts' maps: another version's programs may be in force.
    #[must_use]
    pub fn other_layouts(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let maps = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"maps-v"));
        maps.map(|entry| entry.path()).filter(|path| *path != self.maps()).collect()
    }

    /// Removes the pins of other layouts' maps, once no program of theirs is in force.
    ///
    /// # Errors
    /// The first failure.
    pub fn remove_other_layouts(&self) -> Result<(), PinsError> {
        self.other_layouts().iter().try_for_each(|path| fs::remove_dir_all(path).map_err(|error| self.io(path, error)))
    }

    /// Removes our pins and folders, of every layout; programs stay attached only where something else holds them. The
    /// agent's folder goes where nothing else is in it.
    ///
    /// # Errors
    /// The first failure.
    pub fn remove_all(&self) -> Result<(), PinsError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| self.io(&self.root, error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| self.io(&self.root, error))?;
            let name = entry.file_name();
            if name == "links" || name.as_encoded_bytes().starts_with(b"maps-v") {
                fs::remove_dir_all(entry.path()).map_err(|error| self.io(&entry.path(), error))?;
            }
        }
        match fs::remove_dir(&self.root) {
            Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(self.io(&self.root, error)),
            _ => Ok(()),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as this folder's error at the call sites")]
    fn io(&self, path: &Path, source: io::Error) -> PinsError {
        PinsError::Io { path: path.to_owned(), source }
    }
}

/// FNV-1a over every map's name, kind and sizes.
fn layout_hash() -> u32 {
    let text = layout::MAPS
        .iter()
        .map(|m| format!("{} {:?} {} {} {} {};", m.name, m.kind, m.key, m.value, m.entries, m.no_prealloc))
        .collect::<String>();
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
