//! Dependencies that a crate names and does not use: they cost everybody's builds.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{step::capture, workspace::Workspace};

/// Every crate's.
///
/// # Errors
/// Names the crates and what they do not use.
pub fn check(workspace: &Workspace) -> Result<()> {
    let metadata = capture(workspace.cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata")?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let folder = |package: &Value| {
        package["manifest_path"].as_str().and_then(|path| Path::new(path).parent()).map(Path::to_owned)
    };
    let folders: Vec<_> = packages.iter().filter_map(folder).collect();
    let mut unused = Vec::new();
    for package in &packages {
        let Some(own) = folder(package) else { continue };
        let mut text = String::new();
        read(&own, &|inner| inner != own && folders.iter().any(|other| other == inner), &mut text)?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let name = dependency["rename"].as_str().or(dependency["name"].as_str()).unwrap_or_default();
            if !names(&text, &name.replace('-', "_")) {
                unused.push(format!("{}: {name}", package["name"].as_str().unwrap_or_default()));
            }
        }
    }
    if !unused.is_empty() {
        bail!("take these out of the Cargo.toml that names them:\n  {}", unused.join("\n  "));
    }
    Ok(())
}

/// All sources of a folder, without those of other crates within it.
fn read(folder: &Path, is_other: &dyn Fn(&Path) -> bool, text: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            if !is_other(&path) && path.file_name().is_none_or(|name| name != "target") {
                read(&path, is_other, text)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).with_context(|| path.display().to_string())?);
            text.push('\n');
        }
    }
    Ok(())
}

/// Whether a text has a name as a word of its own.
fn names(text: &str, name: &str) -> bool {
    let is_part = |one: char| one.is_alphanumeric() || one == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_is_a_word_of_its_own() {
        assert!(names("use tar::Builder;", "tar") && names("tar", "tar"));
        assert!(!names("use tarpit::X; fn start() {}", "tar") && !names("guitar", "tar"));
    }
}
