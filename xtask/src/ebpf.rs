//! The eBPF programs: built for `bpfel-unknown-none` with BTF, and laid where the agent's build script and the tests
//! find them.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    setup::{linker, toolchain},
    step::step,
    workspace::Workspace,
};

/// The object that the agent embeds, and the one that only tests load.
pub const OBJECTS: [&str; 2] = ["ferrule-ebpf", "ferrule-ebpf-tests"];

/// Debug info becomes BTF, from which the maps' layout is read; a panic cannot unwind.
const FLAGS: [&str; 3] = ["-Cdebuginfo=2", "-Clink-arg=--btf", "-Cpanic=abort"];

/// Builds both objects into [`Workspace::ebpf`], and touches only what changed.
///
/// # Errors
/// Where no toolchain is there, or the programs do not compile.
pub fn build(workspace: &Workspace) -> Result<()> {
    compile(workspace, "the eBPF programs", &["--bins"], &OBJECTS, &workspace.ebpf())
}

/// Builds the object that the agent with another layout embeds, into [`Workspace::other_ebpf`].
///
/// # Errors
/// As [`build`].
pub fn build_other(workspace: &Workspace) -> Result<()> {
    let arguments = ["--bin", OBJECTS[0], "--features", "other-layout"];
    compile(workspace, "the eBPF programs with another layout", &arguments, &OBJECTS[..1], &workspace.other_ebpf())
}

fn compile(workspace: &Workspace, what: &str, arguments: &[&str], objects: &[&str], into: &Path) -> Result<()> {
    let target = workspace.target.join("ebpf-build");
    let toolchain = toolchain::find().context("no toolchain can build for eBPF; run `cargo xtask setup`")?;
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(&workspace.root)
        .args(["build", "--package", "ferrule-ebpf", "--release"])
        .args(arguments)
        .args(["--target", "bpfel-unknown-none", "-Z", "build-std=core", "--target-dir"])
        .arg(&target)
        .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
        .env_remove("CARGO_TARGET_DIR");
    linker::add_to_path(&mut cargo);
    step(&format!("build {what} ({toolchain})"), &mut cargo)?;
    fs::create_dir_all(into)?;
    for object in objects {
        copy_if_changed(&target.join("bpfel-unknown-none/release").join(object), &into.join(object))?;
    }
    Ok(())
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("{} was not built", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("{} cannot be written", to.display()))
}
