//! Where things lie.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

/// The repository and its target folder.
#[derive(Debug)]
pub struct Workspace {
    /// The repository's root.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Workspace {
    /// From where this crate was built, and `CARGO_TARGET_DIR`.
    ///
    /// # Errors
    /// Where the repository has been moved since.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .canonicalize()
            .context("the repository is not where xtask was built; run it as `cargo xtask`")?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        Ok(Self { root, target })
    }

    /// Folder of the eBPF objects. Always in the repository: the agent's build script reads it there.
    pub fn ebpf(&self) -> PathBuf {
        self.root.join("target/ebpf")
    }

    /// Folder of the eBPF object with another layout, which tests' second agent embeds.
    pub fn other_ebpf(&self) -> PathBuf {
        self.root.join("target/ebpf-other")
    }

    /// Folder of tools that are installed for this repository alone.
    pub fn tools(&self) -> PathBuf {
        self.root.join("target/tools")
    }

    /// Folder of what guests boot.
    pub fn kernels(&self) -> PathBuf {
        self.root.join("target/kernels")
    }

    /// Folder of the binaries that tests and the demo run.
    pub fn binaries(&self) -> PathBuf {
        self.target.join("debug")
    }

    /// The cargo that runs this, in the repository's root.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root);
        command
    }
}

/// Finds a program in `PATH`, in the system's folders for administrators and in cargo's folder.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .map(|home| home.join("bin"));
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .chain(cargo)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
