//! Network namespaces: opened by path, entered by threads of their own only, so that the process stays where the
//! runtime started it.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
};

use nix::{
    sched::{CloneFlags, setns},
    sys::statfs::{NSFS_MAGIC, fstatfs},
};

use crate::{Netlink, NetlinkError};

/// A network namespace, held open.
#[derive(Debug)]
pub struct Netns {
    path: String,
    file: File,
}

/// A path that leads to no network namespace for a container.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Nothing can be opened there (code 8).
    #[error("CNI_NETNS {path:?} cannot be opened; the container's network namespace is gone or was never made")]
    Open {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something else is there (code 8).
    #[error("CNI_NETNS {path:?} is not a network namespace")]
    Other {
        /// The path.
        path: String,
    },
    /// It is the plugin's own (code 8).
    #[error("CNI_NETNS {path:?} is the network namespace that the plugin runs in; the container must have its own")]
    Own {
        /// The path.
        path: String,
    },
    /// A thread could not enter it.
    #[error("cannot enter the network namespace {path:?}")]
    Enter {
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A socket in it could not be opened.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

impl Netns {
    /// Opens a container's network namespace.
    ///
    /// # Errors
    /// The path leads to none, or to our own.
    pub fn open(path: &str) -> Result<Self, NetnsError> {
        let failed = |source| NetnsError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let kind = fstatfs(&file).map_err(|errno| failed(errno.into()))?.filesystem_type();
        let found = file.metadata().map_err(failed)?;
        let own = File::open("/proc/thread-self/ns/net").and_then(|own| own.metadata()).map_err(failed)?;
        if (found.dev(), found.ino()) == (own.dev(), own.ino()) {
            return Err(NetnsError::Own { path: path.to_owned() });
        }
        if kind != NSFS_MAGIC {
            return Err(NetnsError::Other { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// Runs something in it, in a thread of its own.
    ///
    /// # Errors
    /// It cannot be entered.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        let entered = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
                setns(&self.file, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            match thread?.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        entered.map_err(|source| NetnsError::Enter { path: self.path.clone(), source })
    }

    /// Opens a netlink socket in it.
    ///
    /// # Errors
    /// It cannot be entered, or the kernel gives no socket.
    pub fn netlink(&self) -> Result<Netlink, NetnsError> {
        Ok(self.run(Netlink::open)??)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
