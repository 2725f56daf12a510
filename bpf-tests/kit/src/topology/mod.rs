//! A cluster on one machine: every node and every pod is a network namespace.

mod agent;
mod cgroup;
mod cluster;
mod families;
pub mod manifest;
mod name;
mod netns;
mod node;
mod plugin;
mod pod;
mod underlay;
mod wait;

use std::{
    env,
    path::{Path, PathBuf},
};

pub use agent::{Agent, Launch};
use anyhow::{Context, Result, bail};
pub use cgroup::Cgroup;
pub use cluster::{Cluster, Layout, Routing};
pub use families::Families;
pub use name::Prefix;
pub use netns::{Netns, run};
pub use node::Node;
pub use plugin::{Failure, Invocation};
pub use pod::Pod;
pub use underlay::{Fabric, Underlay};
pub use wait::{patience, until, until_within};

/// Where a binary of the workspace is: in `FERRULE_BIN_DIR`, else beside the running one.
///
/// # Errors
/// Where it was not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = match env::var_os("FERRULE_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let own = env::current_exe()?;
            let folder = own.parent().context("this program lies in no folder")?;
            // Tests lie one folder deeper than binaries.
            if folder.ends_with("deps") { folder.parent().map_or(folder, |above| above) } else { folder }.to_path_buf()
        }
    };
    let file = folder.join(name);
    if !Path::is_file(&file) {
        bail!("{} is not there; run `cargo xtask test` or `cargo xtask demo`, which build it", file.display());
    }
    Ok(file)
}
