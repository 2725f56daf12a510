//! The programs that the tests use: the workspace's own, and the packages' that must be there.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::tool;

/// What must be on the machine: a path or a program's name, and the Debian package that has it.
const NEEDED: [(&str, &str); 12] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/loopback", "containernetworking-plugins"),
    ("/usr/lib/cni/portmap", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("gcc", "gcc"),
    ("/usr/include/stdio.h", "libc6-dev"),
    ("tar", "tar"),
    ("podman", "podman"),
];

/// Fails, with the command that helps, where something is missing.
pub fn require() {
    assert!(nix::unistd::geteuid().is_root(), "these tests make machines out of namespaces: run them as root");
    let folders: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let is_there = |name: &str| folders.iter().any(|folder| folder.join(name).exists());
    let missing: Vec<_> = NEEDED.iter().filter(|(name, _)| !is_there(name)).collect();
    let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
    assert!(missing.is_empty(), "{missing:?} not found in PATH; apt-get install {}", packages.join(" "));
}

/// A program of this workspace.
pub fn ours(name: &str) -> PathBuf {
    let folder = env::var_os("FERRULE_BIN_DIR").map_or_else(beside_the_test, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is missing; build it with `cargo build -p ferrule-agent -p ferrule-cni`, or set FERRULE_BIN_DIR",
        path.display()
    );
    path
}

/// `target/debug` of `target/debug/deps/runtimes-…`.
fn beside_the_test() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(2).expect("tests lie two folders deep").to_owned()
}

/// Puts a program into a folder.
pub fn install(program: &Path, folder: &Path) {
    let target = folder.join(program.file_name().expect("a program has a name"));
    fs::create_dir_all(folder).expect("a machine's folder can be made");
    fs::hard_link(program, &target)
        .or_else(|_| fs::copy(program, &target).map(drop))
        .unwrap_or_else(|error| panic!("{}: {error}", target.display()));
}

/// Builds the first process of machines and pods.
pub fn build_pause(folder: &Path) -> PathBuf {
    let pause = folder.join("pause");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/pause.c");
    tool::run(Command::new("gcc").args(["-static", "-O2", "-Wall", "-o"]).arg(&pause).arg(source));
    pause
}
