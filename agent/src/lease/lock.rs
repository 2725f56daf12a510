//! One agent for each state directory.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use super::LeaseError;

/// The lock of a state directory; the kernel drops it with the process, however that ends.
#[derive(Debug)]
pub struct StateLock {
    _file: Flock<File>,
}

impl StateLock {
    /// Locks a state directory, which is made (for root alone) where it does not exist. The file `agent.lock` names the
    /// process that has it.
    ///
    /// # Errors
    /// [`LeaseError::InUse`] when another process has it.
    pub fn acquire(dir: &Path) -> Result<Self, LeaseError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| LeaseError::Io { path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        let path = dir.join("agent.lock");
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = match Flock::lock(file.map_err(failed(&path))?, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                let read = file.read_to_string(&mut pid).map(|_| pid.trim());
                let pid = read.ok().filter(|pid| !pid.is_empty()).unwrap_or("unknown").to_owned();
                return Err(LeaseError::InUse { dir: dir.to_owned(), pid });
            }
            Err((_, errno)) => return Err(failed(&path)(errno.into())),
        };
        file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed(&path))?;
        Ok(Self { _file: file })
    }
}
