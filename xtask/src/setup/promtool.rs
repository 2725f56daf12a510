//! promtool, which knows Prometheus' conventions: taken from its Debian package, whose server is not installed.

use std::path::PathBuf;

use anyhow::Result;

use super::private_apt::PrivateApt;
use crate::{
    arch::Arch,
    workspace::{Workspace, program},
};

/// Fetches it where it is missing.
///
/// # Errors
/// Where apt does not have it.
pub fn ensure(workspace: &Workspace) -> Result<()> {
    if find(workspace).is_some() {
        return Ok(());
    }
    if program("apt-get").is_none() {
        println!("promtool is missing, and there is no apt-get: metrics are checked by the tests' own rules alone");
        return Ok(());
    }
    println!("promtool: checks the metrics' names and units");
    let apt = PrivateApt { folder: workspace.tools().join("prometheus-apt"), arch: Arch::host(), sources: None };
    apt.update("read the lists of packages, for promtool")?;
    apt.unpack(&["prometheus".to_owned()], &root(workspace))
}

/// Its file.
pub fn find(workspace: &Workspace) -> Option<PathBuf> {
    let own = root(workspace).join("usr/bin/promtool");
    program("promtool").or_else(|| own.exists().then_some(own))
}

fn root(workspace: &Workspace) -> PathBuf {
    workspace.tools().join("prometheus")
}
