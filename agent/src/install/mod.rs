//! What the agent puts on its node for the container runtime: the plugin's binary, and the CNI configuration that names it.

pub mod conflist;
mod file;
pub mod plugin;

use std::{io, path::PathBuf};

/// A file that cannot be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct InstallError {
    /// The file or folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}
