//! A node's cgroup: its socket programs run for whoever opens a socket in it, so that nodes on one machine do not see each
//! other's Services.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};

/// A cgroup v2 folder, removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    keep: bool,
}

/// A process is in one cgroup at a time.
static INSIDE: Mutex<()> = Mutex::new(());

impl Cgroup {
    /// Makes one.
    ///
    /// # Errors
    /// Where no cgroup v2 is mounted, or the folder cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let path = root()?.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, keep: false })
    }

    /// One that somebody else made, and removes.
    #[must_use]
    pub const fn known(path: PathBuf) -> Self {
        Self { path, keep: true }
    }

    /// Its folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it there when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Runs `work` with this process in it; sockets that are opened meanwhile belong to it for good.
    ///
    /// # Errors
    /// Where the process cannot enter or leave it.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let _inside = INSIDE.lock().unwrap_or_else(PoisonError::into_inner);
        enter(&self.path)?;
        let result = work();
        enter(&root()?)?;
        Ok(result)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.path);
        }
    }
}

/// Where cgroup v2 is mounted.
fn root() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let place = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| path.into())
    });
    place.context("no cgroup v2 is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup")
}

fn enter(cgroup: &Path) -> Result<()> {
    let file = cgroup.join("cgroup.procs");
    fs::write(&file, process::id().to_string()).with_context(|| file.display().to_string())
}

/// Removes the cgroups whose names begin so.
pub(super) fn remove_all(prefix: &str) {
    let Ok(root) = root() else { return };
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            remove(&entry.path());
        }
    }
}

fn remove(path: &Path) {
    // Whoever was killed in it takes a moment to go.
    for _ in 0..50 {
        match fs::remove_dir(path) {
            Err(error) if error.raw_os_error() == Some(16) => std::thread::sleep(Duration::from_millis(20)),
            _ => return,
        }
    }
}
