//! Names that no two runs share, and the removal of what a run that was killed left.

use std::{
    fmt, fs, process,
    sync::atomic::{AtomicU32, Ordering},
};

use super::{Agent, cgroup, netns};

/// What the names of a cluster's namespaces, folders and pins begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// What the names of tests' clusters begin with, before the process id.
const TESTS: &str = "frt";

impl Prefix {
    /// One for a test: another at each call. What killed tests left is removed on the way.
    #[must_use]
    pub fn of_a_test() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        Self(format!("{TESTS}{}x{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    /// A known one, for what has to be found again.
    #[must_use]
    pub fn known(name: &str) -> Self {
        Self(name.into())
    }

    /// Ends every agent and removes every namespace, folder and pin of this prefix. Goes on past what cannot be removed.
    pub fn remove_all(&self) {
        Agent::end_left(&self.folder());
        for name in netns::names().into_iter().filter(|name| name.starts_with(&format!("{self}-"))) {
            netns::remove(&name);
        }
        cgroup::remove_all(&format!("{self}-"));
        for folder in [self.folder(), self.pins()] {
            // Absent as a rule; what is in use stays, and says so by its name.
            let _ = fs::remove_dir_all(folder);
        }
    }

    /// The folder of its files.
    #[must_use]
    pub fn folder(&self) -> std::path::PathBuf {
        std::env::temp_dir().join(&self.0)
    }

    /// The folder of its pins.
    #[must_use]
    pub fn pins(&self) -> std::path::PathBuf {
        std::path::Path::new("/sys/fs/bpf").join(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Removes what tests left whose process is gone.
fn sweep() {
    let mut left: Vec<_> = netns::names().iter().filter_map(|name| owner(name)).collect();
    left.sort();
    left.dedup();
    for (process, prefix) in left {
        if !fs::exists(format!("/proc/{process}")).unwrap_or(true) {
            Prefix(prefix).remove_all();
        }
    }
}

/// The process and the prefix that a namespace's name tells, where it is a test's.
fn owner(name: &str) -> Option<(u32, String)> {
    let (prefix, _) = name.split_once('-')?;
    let (process, _) = prefix.strip_prefix(TESTS)?.split_once('x')?;
    Some((process.parse().ok()?, prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_tells_whose_it_is() {
        assert_eq!(owner("frt12x3-n1"), Some((12, "frt12x3".into())));
        assert_eq!(owner("ferrule-demo-n1"), None);
        assert_eq!(owner("blue"), None);
    }
}
