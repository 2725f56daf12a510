//! Socket programs on a cgroup: links, pinned, so that they outlive the agent, and given another program in place.
//!
//! A cgroup's programs run for the sockets of every process in it and below.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::Path,
};

use aya::{
    Ebpf,
    programs::{CgroupAttachMode, CgroupSock, CgroupSockAddr, ProgramError, ProgramFd, links::FdLink},
};
use ferrule_common::service::PROGRAMS;

use super::{Pins, attach::Programs, error::LoadError, sys};

/// Why socket programs are not on their cgroup.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// There is no such cgroup.
    #[error(
        "--cgroup-root {path} is no cgroup v2 folder that can be read; mount one (mount -t cgroup2 none {path}) or name another"
    )]
    Root {
        /// The folder.
        path: std::path::PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("{program} could not be attached to the cgroup {root}")]
    Attach {
        /// The program.
        program: &'static str,
        /// The cgroup.
        root: std::path::PathBuf,
        /// The cause.
        source: ProgramError,
    },
    /// A link's pin could not be read, made, given another program or removed.
    #[error("the link's pin {path}")]
    Pin {
        /// The pin.
        path: std::path::PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The object lacks a program, or it is not loaded.
    #[error(transparent)]
    Object(#[from] LoadError),
}

/// Loads every socket program.
pub(super) fn load(ebpf: &mut Ebpf) -> Result<(), LoadError> {
    for name in PROGRAMS {
        with(ebpf, name, |program| match program {
            One::Address(program) => program.load(),
            One::Socket(program) => program.load(),
        })?
        .map_err(|source| LoadError::Program { name, source })?;
    }
    Ok(())
}

impl Programs {
    /// Puts every socket program on a cgroup, or replaces what a former agent put there without a gap; links of another
    /// cgroup go once these are there. Blocks.
    ///
    /// # Errors
    /// See [`CgroupError`].
    pub fn attach_sockets(&mut self, root: &Path) -> Result<(), CgroupError> {
        let cgroup = open(root)?;
        for name in PROGRAMS {
            self.attach_socket(name, root, &cgroup)?;
        }
        Ok(())
    }

    /// The socket programs that are not on the cgroup. Blocks.
    ///
    /// # Errors
    /// Where the cgroup cannot be read, or the kernel does not tell.
    pub fn missing_sockets(&mut self, root: &Path) -> Result<Vec<&'static str>, CgroupError> {
        let cgroup = id(&open(root)?, root)?;
        let mut missing = Vec::new();
        for name in PROGRAMS {
            let path = self.pins.socket_link(name);
            let program = program_id(&mut self.ebpf, name)?;
            let there = sys::pinned_link(&path).is_ok_and(|link| link.cgroup() == cgroup && link.program == program);
            if !there {
                missing.push(name);
            }
        }
        Ok(missing)
    }

    fn attach_socket(&mut self, name: &'static str, root: &Path, cgroup: &File) -> Result<(), CgroupError> {
        let path = self.pins.socket_link(name);
        let pin = |source| CgroupError::Pin { path: path.clone(), source };
        let there = match sys::pinned_link(&path) {
            Ok(link) => Some(link.cgroup()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(pin(error)),
        };
        if there == Some(id(cgroup, root)?) {
            let program = with(&mut self.ebpf, name, |program| program.fd().map(|fd| fd.as_fd().try_clone_to_owned()))?;
            let program = program.map_err(|source| LoadError::Program { name, source })?.map_err(pin)?;
            return sys::update_link(&path, program.as_fd()).map_err(pin);
        }
        let link = with(&mut self.ebpf, name, |program| program.attach(cgroup))?;
        let link = link.map_err(|source| CgroupError::Attach { program: name, root: root.into(), source })?;
        // The one of another cgroup, or of one that is gone, makes way for this one, which is in force already.
        remove(&path).map_err(pin)?;
        link.pin(&path).map_err(|error| pin(io::Error::other(error)))?;
        Ok(())
    }
}

/// Removes the links' pins, which detaches the programs.
///
/// # Errors
/// The first that cannot be removed.
pub fn detach(pins: &Pins) -> Result<(), CgroupError> {
    PROGRAMS
        .iter()
        .map(|name| pins.socket_link(name))
        .try_for_each(|path| remove(&path).map_err(|source| CgroupError::Pin { path, source }))
}

/// Whether programs of a former agent are on some cgroup.
#[must_use]
pub fn is_there(pins: &Pins) -> bool {
    PROGRAMS.iter().any(|name| pins.socket_link(name).exists())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn open(root: &Path) -> Result<File, CgroupError> {
    let failed = |source| CgroupError::Root { path: root.into(), source };
    let folder = File::open(root).map_err(failed)?;
    let kind = nix::sys::statfs::fstatfs(&folder).map_err(|errno| failed(errno.into()))?.filesystem_type();
    if kind != nix::sys::statfs::CGROUP2_SUPER_MAGIC {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    Ok(folder)
}

/// A cgroup's id is its folder's inode.
fn id(cgroup: &File, root: &Path) -> Result<u64, CgroupError> {
    let found = cgroup.metadata().map_err(|source| CgroupError::Root { path: root.into(), source })?;
    Ok(found.ino())
}

/// A socket program of either kind.
enum One<'a> {
    Address(&'a mut CgroupSockAddr),
    Socket(&'a mut CgroupSock),
}

impl One<'_> {
    fn fd(&self) -> Result<&ProgramFd, ProgramError> {
        match self {
            Self::Address(program) => program.fd(),
            Self::Socket(program) => program.fd(),
        }
    }

    fn attach(self, cgroup: &File) -> Result<FdLink, ProgramError> {
        // With links every program of a cgroup runs, whatever this says.
        let link = match self {
            Self::Address(program) => {
                let id = program.attach(cgroup, CgroupAttachMode::Single)?;
                FdLink::try_from(program.take_link(id)?)
            }
            Self::Socket(program) => {
                let id = program.attach(cgroup, CgroupAttachMode::Single)?;
                FdLink::try_from(program.take_link(id)?)
            }
        };
        link.map_err(|error| ProgramError::IOError(io::Error::other(error)))
    }
}

fn with<T>(ebpf: &mut Ebpf, name: &'static str, work: impl FnOnce(One<'_>) -> T) -> Result<T, LoadError> {
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    match program {
        aya::programs::Program::CgroupSockAddr(program) => Ok(work(One::Address(program))),
        aya::programs::Program::CgroupSock(program) => Ok(work(One::Socket(program))),
        _ => Err(LoadError::Missing(name)),
    }
}

fn program_id(ebpf: &mut Ebpf, name: &'static str) -> Result<u32, LoadError> {
    let info = with(ebpf, name, |program| match program {
        One::Address(program) => program.info(),
        One::Socket(program) => program.info(),
    })?;
    info.map(|info| info.id()).map_err(|source| LoadError::Program { name, source })
}
