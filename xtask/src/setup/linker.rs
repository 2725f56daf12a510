//! `bpf-linker`, which turns the compiler's bitcode into an eBPF object. Built against the distribution's LLVM.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{apt, llvm, toolchain};
use crate::{step::step, workspace::program};

/// The version that is installed, and the only one that was tried.
const VERSION: &str = "0.13.0";

/// Installs it where it is missing.
///
/// # Errors
/// Where no LLVM fits, or it does not build.
pub fn ensure() -> Result<()> {
    if found().is_some() {
        return Ok(());
    }
    println!("bpf-linker {VERSION}: links the eBPF programs; built here against LLVM, which takes a minute or two");
    let needed = toolchain::newest_llvm()?;
    apt::update()?;
    let major = llvm::VERSIONS
        .into_iter()
        .rev()
        .filter(|major| *major >= needed)
        .find(|major| apt::is_offered(&format!("llvm-{major}-dev")))
        .with_context(|| {
            format!(
                "apt offers no llvm-N-dev with N from {needed} to {}, against which bpf-linker could be \
                 built; take a distribution with LLVM {needed}, or add LLVM's own repository of packages",
                llvm::NEWEST
            )
        })?;
    let versioned = [format!("llvm-{major}-dev"), format!("libpolly-{major}-dev")];
    let mut packages: Vec<&str> = versioned.iter().map(String::as_str).collect();
    packages.extend(["g++", "pkg-config", "libzstd-dev", "zlib1g-dev", "libxml2-dev"]);
    apt::install(&packages)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force", "--no-default-features"]);
    cargo.args(["--features", &format!("llvm-{major}")]);
    cargo.env("LLVM_PREFIX", format!("/usr/lib/llvm-{major}")).env_remove("CARGO_TARGET_DIR");
    step(&format!("cargo install bpf-linker {VERSION}"), &mut cargo)?;
    found().map(drop).context("bpf-linker was installed, but cannot be run; see that cargo's bin folder is in PATH")
}

/// Puts its folder into a command's `PATH`, since rustc looks there.
pub fn add_to_path(command: &mut Command) {
    let Some(folder) = found().as_deref().and_then(Path::parent).map(Path::to_path_buf) else { return };
    let path = env::var_os("PATH").unwrap_or_default();
    if let Ok(path) = env::join_paths(env::split_paths(&path).chain([folder])) {
        command.env("PATH", path);
    }
}

/// Where it is, if it runs and is of the right minor version.
fn found() -> Option<PathBuf> {
    let file = program("bpf-linker")?;
    let output = Command::new(&file).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (minor, _) = VERSION.rsplit_once('.')?;
    text.trim().strip_prefix("bpf-linker ")?.starts_with(minor).then_some(file)
}
