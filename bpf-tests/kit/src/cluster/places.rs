//! Where programs are, as the environment names them.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};

/// The folder of Kubernetes' programs, which `FERRULE_KUBERNETES` names.
///
/// # Errors
/// Where it is not set.
pub fn programs() -> Result<PathBuf> {
    path("FERRULE_KUBERNETES")
}

/// The folder that a variable names.
pub(super) fn path(name: &str) -> Result<PathBuf> {
    let value = env::var_os(name).map(PathBuf::from);
    value.with_context(|| format!("{name} is not set; run this by `cargo xtask`"))
}

/// Where the binaries are that tests run: `FERRULE_BIN_DIR`, or this program's folder.
pub(crate) fn binaries() -> Result<PathBuf> {
    let folder = env::var_os("FERRULE_BIN_DIR").map(PathBuf::from);
    let own = || Some(env::current_exe().ok()?.parent()?.to_owned());
    folder.or_else(own).context("a program lies in a folder")
}
