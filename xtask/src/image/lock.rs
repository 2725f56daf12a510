//! That the released image was built of these dependencies and profiles: it takes minutes, so that no change builds it that
//! cannot change its size.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use ferrule_common::hash::fnv1a;

use crate::workspace::Workspace;

/// What decides how large it is, beside the code.
const INPUTS: [&str; 3] = ["Cargo.lock", "Cargo.toml", "deploy/image/Containerfile"];

/// Notes an image that was built now.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(workspace: &Workspace, bytes: u64) -> Result<()> {
    let text = format!("# Written by `cargo xtask image`.\ninputs {:016x}\nbytes {bytes}\n", inputs(workspace)?);
    fs::write(file(workspace), text).with_context(|| file(workspace).display().to_string())
}

/// Whether one was built since dependencies or profiles changed.
///
/// # Errors
/// Says what to run.
pub fn check(workspace: &Workspace) -> Result<()> {
    let found = fs::read_to_string(file(workspace)).unwrap_or_default();
    let wanted = format!("inputs {:016x}", inputs(workspace)?);
    if !found.lines().any(|line| line == wanted) {
        bail!(
            "{} is of other inputs ({}): run `cargo xtask image`, which builds the image, holds it against its limit and \
             writes that file",
            file(workspace).display(),
            INPUTS.join(", ")
        );
    }
    Ok(())
}

fn file(workspace: &Workspace) -> PathBuf {
    workspace.root.join("deploy/image/built.lock")
}

fn inputs(workspace: &Workspace) -> Result<u64> {
    let mut all = Vec::new();
    for name in INPUTS {
        let path = workspace.root.join(name);
        all.extend(fs::read(&path).with_context(|| path.display().to_string())?);
        all.push(0);
    }
    Ok(fnv1a(all))
}
