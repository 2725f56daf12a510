//! Root, or sudo where it must be.

use std::{
    ffi::OsStr,
    io::{IsTerminal, stdin},
    process::{Command, Stdio},
};

use anyhow::{Result, bail};

use crate::workspace::program;

/// How root's rights are had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// This process has them.
    Root,
    /// `sudo` gives them, and may ask for a password where someone can answer.
    Sudo,
}

/// How to act as root.
///
/// # Errors
/// Where neither this process is root nor sudo can be used; `purpose` completes "root is needed to …".
pub fn root(purpose: &str) -> Result<Privilege> {
    if nix::unistd::geteuid().is_root() {
        return Ok(Privilege::Root);
    }
    if program("sudo").is_none() {
        bail!("root is needed to {purpose}, and there is no sudo; run this as root");
    }
    if !stdin().is_terminal() {
        let quiet = Command::new("sudo").args(["-n", "true"]).stdin(Stdio::null()).stderr(Stdio::null()).status()?;
        if !quiet.success() {
            bail!("root is needed to {purpose}, and sudo wants a password that nobody can type here; run this as root");
        }
    }
    Ok(Privilege::Sudo)
}

impl Privilege {
    /// A command with root's rights and this process's environment.
    pub fn command(self, program: impl AsRef<OsStr>) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.arg("-E").arg(program);
                command
            }
        }
    }
}
