//! Installs Ferrule and CoreDNS, and waits for them.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use test_kit::cluster::{Cluster, install};

pub fn install(cluster: &Cluster, manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest).with_context(|| manifest.display().to_string())?;
    install::apply(cluster, &text)?;
    install::await_ready(cluster)?;
    print!("{}", cluster.kubectl(&["get", "pods", "--all-namespaces", "-o", "wide"])?);
    Ok(())
}
