//! The cluster, which stands only while it is measured: an idle one takes CPU time from the other scenarios.

use std::{
    env,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use test_kit::{cluster::Cluster, traffic::load::ordinary};

/// As many as the scenario needs.
const NODES: u8 = 2;

/// A cluster; one that was started here is removed when this is dropped.
pub struct Stand {
    /// It has [`NODES`] nodes.
    pub cluster: Cluster,
    own: bool,
}

impl Stand {
    /// The one that is there, or a new one whose nodes have the image of the archive that `FERRULE_IMAGE` names.
    ///
    /// # Errors
    /// Where there is none and none can be started: what was started is removed again.
    pub fn find() -> Result<Self> {
        let cluster = Cluster::from_env()?;
        let there = cluster.nodes().len();
        if there > 0 {
            ensure!(there >= usize::from(NODES), "the cluster that is there has {there} node; this needs {NODES}");
            return Ok(Self { cluster, own: false });
        }
        let image = env::var_os("FERRULE_IMAGE").map(PathBuf::from);
        let image = image.context("FERRULE_IMAGE names no image; `cargo xtask bench --only cluster` builds one")?;
        let stand = Self { cluster, own: true };
        thread::scope(|scope| scope.spawn(|| start(&stand.cluster, &image)).join())
            .unwrap_or_else(|_| bail!("the thread that starts the cluster panicked"))?;
        Ok(stand)
    }
}

/// From a thread of its own: what measures has precedence, which the cluster's programs must not inherit.
fn start(cluster: &Cluster, image: &Path) -> Result<()> {
    ordinary()?;
    cluster.up(NODES)?;
    cluster.load(image)
}

impl Drop for Stand {
    fn drop(&mut self) {
        if self.own
            && let Err(error) = self.cluster.down()
        {
            eprintln!("the bench's cluster is not gone ({error:#}); `cargo xtask cluster down` removes it");
        }
    }
}
