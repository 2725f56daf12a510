//! Packages of Debian and Ubuntu.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, bail};

use crate::{privilege, step::step, workspace::program};

/// The keys that Debian's archive is signed with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Something that has to be there, and the package that brings it.
#[derive(Debug)]
pub struct Need {
    /// Whether it is there.
    pub probe: Probe,
    /// Packages that bring it, the first that this distribution has.
    pub packages: &'static [&'static str],
    /// Completes "PACKAGE …".
    pub why: &'static str,
}

/// How one sees that something is there, by whatever way it came.
#[derive(Debug)]
pub enum Probe {
    /// A program of this name can be run.
    Program(&'static str),
    /// This file exists.
    File(String),
}

impl Need {
    /// A program.
    pub const fn program(name: &'static str, packages: &'static [&'static str], why: &'static str) -> Self {
        Self { probe: Probe::Program(name), packages, why }
    }

    fn is_met(&self) -> bool {
        match &self.probe {
            Probe::Program(name) => program(name).is_some(),
            Probe::File(path) => Path::new(path).exists(),
        }
    }

    fn what(&self) -> &str {
        match &self.probe {
            Probe::Program(name) => name,
            Probe::File(path) => path,
        }
    }
}

/// Installs what is missing of `needs`.
///
/// # Errors
/// Where that is not possible.
pub fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if program("apt-get").is_none() {
        let list: Vec<_> = missing.iter().map(|need| format!("{} ({})", need.what(), need.why)).collect();
        bail!("missing: {}; there is no apt-get here, so install them by this system's own means", list.join(", "));
    }
    update()?;
    let mut packages = Vec::new();
    for need in &missing {
        let Some(package) = need.packages.iter().copied().find(|package| is_offered(package)) else {
            bail!("{} is missing ({}), and apt offers none of {}", need.what(), need.why, need.packages.join(", "));
        };
        println!("{package}: {}", need.why);
        packages.push(package);
    }
    install(&packages)?;
    match missing.iter().find(|need| !need.is_met()) {
        Some(need) => bail!("{} is still missing after installing {}", need.what(), packages.join(" ")),
        None => Ok(()),
    }
}

/// Whether apt knows a version of `package` to install.
pub fn is_offered(package: &str) -> bool {
    candidate(package).is_some()
}

/// The version of `package` that apt would install.
pub fn candidate(package: &str) -> Option<String> {
    let output = Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

/// Reads the lists of packages anew, once a run.
///
/// # Errors
/// Where root cannot be had. Lists that cannot be fetched are told, and the old ones used.
pub fn update() -> Result<()> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let mut command = privilege::root("install packages")?.command("apt-get");
    if let Err(error) = step("read the lists of packages (apt-get update)", command.args(["-q", "update"])) {
        eprintln!("{error:#}; going on with the lists that are there");
    }
    Ok(())
}

/// Installs packages, without a question.
///
/// # Errors
/// Where apt does not.
pub fn install(packages: &[&str]) -> Result<()> {
    let mut command = privilege::root("install packages")?.command("apt-get");
    command.args(["install", "-q", "-y", "--no-install-recommends"]).args(packages);
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    step(&format!("apt-get install {}", packages.join(" ")), &mut command)
}
