//! Release notes: what a DEL that finds no agent leaves for it. A note survives a crash of anyone at any point: it is
//! written under another name, synced, renamed, and the folder is synced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use ferrule_api::plugin::{ReleaseRequest, host_ifname, release_notes};

/// A note that could not be left.
#[derive(Debug, thiserror::Error)]
#[error("cannot leave a release note at {}; the agent would not learn that the address is free", path.display())]
pub struct NoteError {
    /// The note's path.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

/// Leaves a note, under the name of the attachment's host side, and says where. A repeated DEL replaces it.
///
/// # Errors
/// The folder cannot be made or written.
pub fn leave(socket: &Path, request: &ReleaseRequest) -> Result<PathBuf, NoteError> {
    let folder = release_notes(socket);
    let name = host_ifname(&request.id.container_id, &request.id.ifname);
    let path = folder.join(format!("{name}.json"));
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    let write = || -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(&serde_json::to_vec(request)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&folder)?.sync_all()
    };
    match write() {
        Ok(()) => Ok(path),
        Err(source) => Err(NoteError { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use ferrule_api::plugin::AttachmentId;

    use super::*;

    #[test]
    fn a_note_is_one_readable_file_however_often_it_is_left() {
        let base = tempfile::tempdir().unwrap();
        let socket = base.path().join("not/yet/there/agent.sock");
        let request = ReleaseRequest { id: AttachmentId { container_id: "c".repeat(300), ifname: "eth0".into() } };
        let path = leave(&socket, &request).unwrap();
        assert_eq!(leave(&socket, &request).unwrap(), path);
        let folder = release_notes(&socket);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(serde_json::from_slice::<ReleaseRequest>(&fs::read(path).unwrap()).unwrap(), request);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error_that_names_the_note() {
        let request = ReleaseRequest { id: AttachmentId { container_id: "c".into(), ifname: "eth0".into() } };
        let error = leave(Path::new("/dev/null/agent.sock"), &request).unwrap_err();
        assert!(error.to_string().contains("/dev/null/agent.sock.releases/fr"), "{error}");
    }
}
