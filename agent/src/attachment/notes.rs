//! Notes that a plugin left when no agent answered its DEL: applied before anything is leased.

use std::{fs, path::Path, sync::Arc};

use ferrule_api::plugin::ReleaseRequest;

use super::Attachments;

impl Attachments {
    /// Applies and removes every note. One that cannot be read stays, with a word in the log: it may be being written.
    pub async fn apply_notes(self: &Arc<Self>) {
        // One at a time: a note that was read is applied and removed before anybody leases again, or it would end the lease
        // that came after it.
        let _turn = self.notes_turn.lock().await;
        let Ok(entries) = fs::read_dir(&self.notes) else { return };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| is_note(path)) {
            let request = match read(&path) {
                Ok(Some(request)) => request,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "a release note cannot be read; remove it by hand");
                    continue;
                }
            };
            match self.release(&request.id).await {
                Ok(()) => {
                    tracing::info!(container = request.id.container_id, "applied a release note");
                    if let Err(error) = fs::remove_file(&path)
                        && error.kind() != std::io::ErrorKind::NotFound
                    {
                        tracing::warn!(path = %path.display(), %error, "an applied release note cannot be removed");
                    }
                }
                Err(error) => tracing::warn!(%error, "a release note could not be applied; tried again"),
            }
        }
    }
}

/// Names that begin with a dot are being written.
fn is_note(path: &Path) -> bool {
    path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
}

/// `None` where another request applied the note meanwhile.
fn read(path: &Path) -> std::io::Result<Option<ReleaseRequest>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
