//! The agent's unix socket: root's alone, and one agent's at a time.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

/// Why the socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another agent answers at {0}; stop it, or give this one another --socket")]
    InUse(PathBuf),
    /// The folder or the socket cannot be made.
    #[error("{path}: {source}; the agent's socket cannot be made there")]
    Io {
        /// Folder or socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Listens on `path`; makes its folder, and takes the place of a socket that nobody listens on.
///
/// # Errors
/// See [`SocketError`].
pub async fn bind(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SocketError::Io { path, source }
    };
    if UnixStream::connect(path).await.is_ok() {
        return Err(SocketError::InUse(path.to_owned()));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
    }
    // Made under another name, so that nobody meets it before its mode is set.
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&temporary)(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&temporary).map_err(failed(&temporary))?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600)).map_err(failed(&temporary))?;
    fs::rename(&temporary, path).map_err(failed(path))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who may write to a socket's file may connect (unix(7)).
    #[tokio::test]
    async fn the_socket_is_roots_alone() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("ferrule/agent.sock");
        let _listener = bind(&path).await.unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(bind(&path).await, Err(SocketError::InUse(_))), "somebody answers there");
    }
}
