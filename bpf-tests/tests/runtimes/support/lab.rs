//! Two nodes and what is between them: what every test begins with.

use std::{
    fs,
    path::{Path, PathBuf},
    process, thread,
};

use tempfile::TempDir;
use test_kit::cluster::{archive, settings::PAUSE};

use super::{machine, node::Node, programs, underlay::Underlay};

/// Followed by the test's process number: folders and control groups are named so.
const PREFIX: &str = "ferrule-runtimes-";

/// Two nodes. Fields drop in this order: the machines before their folders.
pub struct Lab {
    /// A node.
    pub n1: Node,
    /// Another.
    pub n2: Node,
    /// The network between them.
    pub underlay: Underlay,
    _folder: TempDir,
}

impl Lab {
    /// Starts them.
    pub fn start() -> Self {
        programs::require();
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(base).expect("cargo's folder for tests can be made");
        sweep(base);
        let prefix = format!("{PREFIX}{}-", process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(base);
        let folder = folder.expect("a temporary folder can be made");
        let path = folder.path();
        let cgroup = path.file_name().expect("a temporary folder has a name").to_string_lossy();
        let pause = programs::build_pause(path);
        let archive = path.join("pause.tar");
        archive::write(PAUSE, &[("pause", pause.clone())], &archive).expect("the image can be written");
        let underlay = Underlay::new();
        let node = |number| Node::start(number, path, &cgroup, &pause, &archive, &underlay);
        let (n1, n2) = thread::scope(|scope| {
            let second = scope.spawn(|| node(2));
            let first = node(1);
            (first, second.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause)))
        });
        Self { n1, n2, underlay, _folder: folder }
    }
}

/// Removes what tests left that were killed: folders and control groups; the kernel has removed the rest.
fn sweep(base: &Path) {
    for folder in left_over(base) {
        let _ = fs::remove_dir_all(folder);
    }
    for group in machine::hierarchies().iter().flat_map(|hierarchy| left_over(hierarchy)) {
        machine::remove_group(&group);
    }
}

/// Names of ours whose process has gone.
fn left_over(folder: &Path) -> Vec<PathBuf> {
    let is_left = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let pid = name.and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists())
    };
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_left).collect()
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}{}", self.n1.describe(), self.n2.describe());
        }
    }
}
