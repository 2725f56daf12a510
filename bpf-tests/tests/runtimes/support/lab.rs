//! Two nodes and what is between them: what every test begins with.

use std::{fs, path::Path, thread};

use tempfile::TempDir;

use super::{image, node::Node, programs, underlay::Underlay};

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
        let folder = tempfile::Builder::new().prefix("ferrule-runtimes-").tempdir_in(base);
        let folder = folder.expect("a temporary folder can be made");
        let path = folder.path();
        let cgroup = path.file_name().expect("a temporary folder has a name").to_string_lossy();
        let pause = programs::build_pause(path);
        let archive = image::write(&pause, path);
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

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}{}", self.n1.describe(), self.n2.describe());
        }
    }
}
