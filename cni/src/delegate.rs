//! A delegated IPAM plugin: found on `CNI_PATH`, run with the plugin's own environment and the whole of its stdin.

use std::{
    env,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};
use serde_json::Value;

use crate::spec::{error::CniError, fields::FieldError, result::AddResult};

/// How long an IPAM plugin may take; one that asks a DHCP server is slow.
const LIMIT: Duration = Duration::from_secs(60);
/// Between looks at a child that has closed its stdout and not ended.
const TICK: Duration = Duration::from_micros(100);
/// Between looks at a child that is silent, in milliseconds.
const MOMENT: u16 = 50;

/// An IPAM plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegate {
    name: String,
    path: PathBuf,
}

/// An IPAM plugin that did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DelegateError {
    /// `CNI_PATH` has no such file.
    #[error(
        "the IPAM plugin {name:?} is in none of the folders of CNI_PATH ({folders:?}); install it or correct ipam.type"
    )]
    Missing {
        /// `ipam.type`.
        name: String,
        /// `CNI_PATH`.
        folders: String,
    },
    /// It could not be run.
    #[error("the IPAM plugin {} cannot be run", path.display())]
    Run {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed (code 11).
    #[error("the IPAM plugin {} did not end within {} s and was killed", path.display(), LIMIT.as_secs())]
    Slow {
        /// Its file.
        path: PathBuf,
    },
    /// It failed, and said why (its own code).
    #[error("the IPAM plugin {name} failed: {}", said.msg)]
    Failed {
        /// `ipam.type`.
        name: String,
        /// What it said.
        said: CniError,
    },
    /// It failed without an error object.
    #[error("the IPAM plugin {name} ended with {status} and said {output:?}")]
    Broken {
        /// `ipam.type`.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// The beginning of its stdout.
        output: String,
    },
    /// Its result cannot be read.
    #[error("the IPAM plugin {name}'s result cannot be read")]
    Result {
        /// `ipam.type`.
        name: String,
        /// Why.
        #[source]
        source: ResultError,
    },
    /// Its result has no address.
    #[error("the IPAM plugin {name} gave no address; check its ranges under ipam")]
    NoAddress {
        /// `ipam.type`.
        name: String,
    },
}

/// A result that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A field is wrong.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl Delegate {
    /// Finds an IPAM plugin on `CNI_PATH`.
    ///
    /// # Errors
    /// No folder of it has such a file.
    pub fn find(name: &str) -> Result<Self, DelegateError> {
        let folders = env::var_os("CNI_PATH").unwrap_or_default();
        let found = env::split_paths(&folders)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_program(path));
        match found {
            Some(path) => Ok(Self { name: name.to_owned(), path }),
            None => {
                Err(DelegateError::Missing { name: name.to_owned(), folders: folders.to_string_lossy().into_owned() })
            }
        }
    }

    /// ADD: the addresses, routes and name resolution that it gives; at least one address.
    ///
    /// # Errors
    /// It fails or gives none.
    pub fn add(&self, config: &[u8]) -> Result<AddResult, DelegateError> {
        let output = self.run(config)?;
        let read = || -> Result<AddResult, ResultError> {
            Ok(AddResult::read("ipam", serde_json::from_slice::<Value>(&output)?)?)
        };
        let result = read().map_err(|source| DelegateError::Result { name: self.name.clone(), source })?;
        if result.ips.is_empty() {
            return Err(DelegateError::NoAddress { name: self.name.clone() });
        }
        Ok(result)
    }

    /// Runs it with the environment as it is: the command is ours.
    ///
    /// # Errors
    /// It fails.
    pub fn run(&self, config: &[u8]) -> Result<Vec<u8>, DelegateError> {
        self.run_with(config, &mut Command::new(&self.path))
    }

    /// DEL, whatever our own command is: undoes an ADD.
    ///
    /// # Errors
    /// It fails.
    pub fn delete(&self, config: &[u8]) -> Result<(), DelegateError> {
        self.run_with(config, Command::new(&self.path).env("CNI_COMMAND", "DEL")).map(drop)
    }

    fn run_with(&self, config: &[u8], command: &mut Command) -> Result<Vec<u8>, DelegateError> {
        let failed = |source| DelegateError::Run { path: self.path.clone(), source };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        match converse(&mut child, config, Instant::now() + LIMIT).map_err(failed)? {
            None => Err(DelegateError::Slow { path: self.path.clone() }),
            Some((status, output)) if status.success() => Ok(output),
            Some((status, output)) => Err(self.failure(status, &output)),
        }
    }

    fn failure(&self, status: ExitStatus, output: &[u8]) -> DelegateError {
        match serde_json::from_slice::<CniError>(output) {
            Ok(said) => DelegateError::Failed { name: self.name.clone(), said },
            Err(_) => {
                let output = String::from_utf8_lossy(output).chars().take(200).collect();
                DelegateError::Broken { name: self.name.clone(), status, output }
            }
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Feeds a child, collects what it says, and waits for its end; kills it when the time is over, and says none then.
///
/// One thread serves both pipes, so that neither side waits for the other; no write is larger than what a pipe that
/// polls as writable takes at once.
fn converse(child: &mut Child, input: &[u8], until: Instant) -> io::Result<Option<(ExitStatus, Vec<u8>)>> {
    let (mut stdin, mut stdout) = (child.stdin.take(), child.stdout.take());
    let (mut unsent, mut output) = (input, Vec::new());
    while Instant::now() < until {
        if unsent.is_empty() {
            stdin = None;
        }
        let Some(pipe) = &mut stdout else {
            match child.try_wait()? {
                Some(status) => return Ok(Some((status, output))),
                None => std::thread::sleep(TICK),
            }
            continue;
        };
        let (readable, writable) = ready(pipe, stdin.as_ref())?;
        if readable {
            let mut chunk = [0; 16 * 1024];
            match pipe.read(&mut chunk)? {
                0 => stdout = None,
                length => output.extend_from_slice(&chunk[..length]),
            }
        } else if writable && let Some(pipe) = &mut stdin {
            // A plugin need not read what it does not want.
            let sent = pipe.write(&unsent[..unsent.len().min(libc::PIPE_BUF)]).unwrap_or(unsent.len());
            unsent = &unsent[sent..];
        } else if child.try_wait()?.is_some() {
            // A process of its own keeps its stdout open.
            stdout = None;
        }
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Whether stdout has something, or its end, and whether stdin takes something; waits a moment for either.
fn ready(stdout: &ChildStdout, stdin: Option<&ChildStdin>) -> io::Result<(bool, bool)> {
    let mut pipes = vec![PollFd::new(stdout.as_fd(), PollFlags::POLLIN)];
    pipes.extend(stdin.map(|stdin| PollFd::new(stdin.as_fd(), PollFlags::POLLOUT)));
    match poll(&mut pipes, MOMENT) {
        Ok(_) => {
            let any = |pipe: Option<&PollFd<'_>>| pipe.and_then(PollFd::any).unwrap_or(false);
            Ok((any(pipes.first()), any(pipes.get(1))))
        }
        Err(Errno::EINTR) => Ok((false, false)),
        Err(errno) => Err(errno.into()),
    }
}
