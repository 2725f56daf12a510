//! From the manifest to a cluster whose pods are ready.

use std::{fs, path::PathBuf, time::Instant};

use anyhow::{Context, Result};
use test_kit::cluster::{Cluster, install};

use super::percentiles::{SCENARIO, SUBJECT};
use crate::row::Row;

/// Installs Ferrule and CoreDNS, whose images the nodes have.
pub fn run(cluster: &Cluster) -> Result<Row> {
    let manifest = PathBuf::from(std::env::var_os("FERRULE_MANIFEST").context("FERRULE_MANIFEST names no manifest")?);
    let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
    let start = Instant::now();
    install::apply(cluster, &text)?;
    install::await_ready(cluster)?;
    Ok(Row::once(SCENARIO, "install_to_ready", SUBJECT, start.elapsed().as_secs_f64(), "s"))
}
