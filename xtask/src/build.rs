//! Release binaries that need nothing but a kernel.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{ebpf, setup, step::step, workspace::Workspace};

/// What an installation consists of.
const BINARIES: [&str; 3] = ["ferrule-agent", "ferrule-cni", "ferrule"];

/// Builds them statically, for this machine's architecture.
///
/// # Errors
/// Where something is missing or does not compile.
pub fn release(workspace: &Workspace) -> Result<()> {
    let folder = statically(workspace, &BINARIES)?;
    for binary in BINARIES {
        println!("{}", folder.join(binary).display());
    }
    Ok(())
}

/// Builds these binaries as releases are built; the folder that they are in then.
///
/// # Errors
/// As [`release`].
pub fn statically(workspace: &Workspace, binaries: &[&str]) -> Result<PathBuf> {
    setup::building(workspace)?;
    ebpf::build(workspace)?;
    let target = host()?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release", "--target", &target]);
    cargo.args(binaries.iter().flat_map(|binary| ["--bin", *binary]));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    step("build static release binaries", &mut cargo)?;
    Ok(workspace.target.join(target).join("release"))
}

/// This machine's target, of which glibc's is the one that links statically without a further toolchain.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc cannot be run")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("`rustc -vV` names no host")?;
    Ok(host.to_owned())
}
