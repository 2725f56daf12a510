//! A machine: namespaces with a first process, and mounts of their own where a machine's state lives.
//!
//! | there | what it is |
//! |---|---|
//! | `/etc` | the host's, with `etc` of the machine's folder over it |
//! | `/opt`, `/var/log`, `/var/lib` | `opt`, `log` and `lib` of the machine's folder |
//! | `/run` | empty |
//! | `/sys/fs/bpf`, `/proc` | its own |
//!
//! The first process ends when the test does, however that ends, and the kernel then ends all others and removes
//! namespaces, mounts, devices and pins. Its control groups are the host's, below one name, and removed on drop.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::sethostname,
};
pub use test_kit::cluster::machine::{hierarchies, remove_group};

use super::{
    space::{Space, on_a_thread},
    tool::{run, words},
};

/// A machine that runs.
pub struct Machine {
    /// Where its programs run.
    pub space: Space,
    /// Of the first process, as the test sees it.
    pub pid: u32,
    /// Under this name in every hierarchy of control groups.
    pub cgroup: String,
    init: Child,
}

impl Machine {
    /// Boots a machine with the state in `folder`; `init` is the program of its first process.
    pub fn boot(name: &str, folder: &Path, init: &Path, cgroup: String) -> Self {
        let init = on_a_thread(|| {
            unshare(
                CloneFlags::CLONE_FS
                    | CloneFlags::CLONE_NEWNS
                    | CloneFlags::CLONE_NEWNET
                    | CloneFlags::CLONE_NEWUTS
                    | CloneFlags::CLONE_NEWIPC
                    | CloneFlags::CLONE_NEWPID,
            )
            .expect("namespaces need root");
            let mut init = Command::new(init);
            let init = init.arg("init").stdin(Stdio::piped()).stdout(Stdio::null());
            let init = init.spawn().expect("the first process starts");
            mount_all(folder);
            sethostname(name).expect("a machine can be named");
            run(&mut words("mount -t proc proc /proc"));
            run(&mut words("ip link set lo up"));
            init
        });
        let pid = init.id();
        Self { space: Space::of_process(pid), pid, cgroup, init }
    }
}

fn mount_all(folder: &Path) {
    for name in ["etc", "etc-work", "opt", "log", "lib"] {
        fs::create_dir_all(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let layers = format!(
        "lowerdir=/etc,upperdir={},workdir={}",
        folder.join("etc").display(),
        folder.join("etc-work").display()
    );
    attach(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None);
    attach(Some("overlay".into()), "/etc", Some("overlay"), MsFlags::empty(), Some(&layers));
    attach(Some("bpf".into()), "/sys/fs/bpf", Some("bpf"), MsFlags::empty(), None);
    for (name, path) in [("opt", "/opt"), ("log", "/var/log"), ("lib", "/var/lib")] {
        attach(Some(folder.join(name)), path, None, MsFlags::MS_BIND, None);
    }
    attach(Some("tmpfs".into()), "/run", Some("tmpfs"), MsFlags::empty(), None);
}

fn attach(source: Option<PathBuf>, path: &str, kind: Option<&str>, flags: MsFlags, data: Option<&str>) {
    mount(source.as_deref(), path, kind, flags, data)
        .unwrap_or_else(|errno| panic!("a machine's {path} cannot be mounted from {source:?} ({data:?}): {errno}"));
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The first process of a process namespace takes all others with it; waiting for it waits for them.
        let _ = self.init.kill();
        let _ = self.init.wait();
        for hierarchy in hierarchies() {
            remove_group(&hierarchy.join(&self.cgroup));
        }
    }
}

/// Makes a group in the unified hierarchy: a machine's socket programs see its own containers alone.
pub fn unified_group(name: &str) -> PathBuf {
    let unified = hierarchies().into_iter().find(|path| path.join("cgroup.controllers").exists());
    let path = unified.expect("cgroup v2 is mounted").join(name);
    fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}
