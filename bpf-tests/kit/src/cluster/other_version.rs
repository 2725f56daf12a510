//! The image of an agent with another layout of every map.

use std::fs;

use anyhow::Result;

use super::{Cluster, own_image};

/// Ferrule with another layout of every map, as another version of it may have.
pub const IMAGE: &str = "localhost/ferrule:other-layout";

/// Gives every node the image of [`IMAGE`], put together of the binaries that tests run.
///
/// # Errors
/// Where they were not built, or a node's containerd refuses the image.
pub fn load(cluster: &Cluster) -> Result<()> {
    let file = cluster.folder.join("ferrule-other.tar");
    own_image::write(IMAGE, "ferrule-agent-other", &file)?;
    cluster.load(&file)?;
    Ok(fs::remove_file(file)?)
}
