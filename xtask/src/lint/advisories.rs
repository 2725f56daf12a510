//! Known holes in dependencies, by RustSec's database (<https://rustsec.org>): a snapshot that is named, else the network's.
//!
//! What the database says changes without a change here. Where it cannot be had, lint goes on and says so in its last line,
//! unless it is required.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{setup::tools, step::step, workspace::Workspace};

/// A folder with a checkout of the database, or `required`.
const SETTING: &str = "FERRULE_ADVISORIES";
/// Where cargo deny gets it.
const DATABASE: &str = "https://github.com/RustSec/advisory-db";

/// Where the database comes from.
#[derive(Debug, PartialEq, Eq)]
enum From {
    /// A folder that somebody named.
    Snapshot(PathBuf),
    /// The network; needed or not.
    Network { required: bool },
}

fn from(setting: Option<OsString>) -> From {
    match setting {
        Some(word) if word == "required" => From::Network { required: true },
        Some(folder) if !folder.is_empty() => From::Snapshot(folder.into()),
        _ => From::Network { required: false },
    }
}

/// Holds all dependencies against the database. Where it cannot be had and is not required: why, a sentence.
///
/// # Errors
/// What is known about a dependency; that the database is required or named and cannot be had.
pub fn check(workspace: &Workspace) -> Result<Option<String>> {
    let from = from(env::var_os(SETTING));
    if let Err(error) = fetch(workspace, &from) {
        if from == (From::Network { required: false }) {
            return Ok(Some(format!(
                "{error:#}; name a checkout of {DATABASE} with {SETTING}=DIR, or let it be reached"
            )));
        }
        return Err(error);
    }
    let mut deny = deny(workspace, &from)?;
    step("cargo deny (advisories)", deny.args(["check", "--hide-inclusion-graph", "advisories"]))?;
    Ok(None)
}

fn fetch(workspace: &Workspace, from: &From) -> Result<()> {
    if let From::Snapshot(folder) = from
        && !(folder.join("crates").is_dir() && folder.join(".git").exists())
    {
        bail!("{SETTING}: {} is no checkout of {DATABASE}: it has no crates or no .git", folder.display());
    }
    let output = deny(workspace, from)?.args(["fetch", "db"]).output().context("cargo deny cannot be started")?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let why = said.lines().rev().map(str::trim).find(|line| line.starts_with("fatal:") || line.contains("ERROR"));
    bail!("the database cannot be fetched ({})", why.unwrap_or("cargo deny does not say why"))
}

/// Cargo deny with a database of this workspace's own.
fn deny(workspace: &Workspace, from: &From) -> Result<Command> {
    let folder = workspace.root.join("target/advisories");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let config = folder.join("deny.toml");
    let rules = fs::read_to_string(workspace.root.join("deny.toml")).context("deny.toml")?;
    fs::write(&config, with_database(&rules, &folder)).with_context(|| config.display().to_string())?;
    let mut deny = tools::command(workspace, tools::DENY)?;
    deny.arg("--config").arg(config);
    if let From::Snapshot(snapshot) = from {
        // Cargo deny takes no URL of a file, and git takes one in the place of another.
        deny.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_VALUE_0", DATABASE);
        deny.env("GIT_CONFIG_KEY_0", format!("url.file://{}.insteadOf", snapshot.display()));
    }
    Ok(deny)
}

fn with_database(rules: &str, folder: &Path) -> String {
    format!("{rules}\n[advisories]\ndb-path = {:?}\n", folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_goes_before_the_network() {
        assert_eq!(from(None), From::Network { required: false });
        assert_eq!(from(Some("".into())), From::Network { required: false });
        assert_eq!(from(Some("required".into())), From::Network { required: true });
        assert_eq!(from(Some("/db".into())), From::Snapshot("/db".into()));
    }

    #[test]
    fn the_rules_have_no_database_of_their_own() {
        let rules = include_str!("../../../deny.toml");
        assert!(!rules.contains("[advisories]"), "with_database adds it");
        assert!(with_database(rules, Path::new("/x")).ends_with("[advisories]\ndb-path = \"/x\"\n"));
    }
}
