//! Images of a few programs, in the form of `docker save`, which every runtime reads.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::json;

use super::process::run;

/// Writes an image: `files` are a path in it and a file each, the first is what it runs.
///
/// # Errors
/// Where something cannot be read or written.
pub fn write(name: &str, files: &[(&str, PathBuf)], archive: &Path) -> Result<()> {
    let parts = archive.with_extension("parts");
    fs::create_dir_all(parts.join("layer")).with_context(|| parts.display().to_string())?;
    for (path, file) in files {
        let to = parts.join("layer").join(path);
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(file, to).with_context(|| file.display().to_string())?;
    }
    let layer = parts.join("layer.tar");
    let mut tar = Command::new("tar");
    run(tar.args(["--owner=0", "--group=0", "-cf"]).arg(&layer).arg("-C").arg(parts.join("layer")).arg("."))?;
    let sum = run(Command::new("sha256sum").arg(&layer))?;
    let digest = sum.split(' ').next().context("a sum comes first")?;
    let entry = format!("/{}", files.first().context("an image has a program")?.0);
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Entrypoint": [entry], "Env": ["PATH=/usr/bin:/"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    fs::write(parts.join("config.json"), config.to_string())?;
    fs::write(parts.join("manifest.json"), manifest.to_string())?;
    let names = ["manifest.json", "config.json", "layer.tar"];
    run(Command::new("tar").arg("-cf").arg(archive).arg("-C").arg(&parts).args(names))?;
    Ok(fs::remove_dir_all(parts)?)
}
