//! The plugin's binary, put into the node's folder of CNI plugins.

use std::{fs, path::Path};

use super::{InstallError, file};

/// Its name there, which the CNI configuration's `type` is.
pub const NAME: &str = "ferrule-cni";

/// Copies the plugin from `from` into `folder`, in one step; false where the same one is there.
///
/// # Errors
/// Where it cannot be read or written.
pub fn install(from: &Path, folder: &Path) -> Result<bool, InstallError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError { path, source }
    };
    let bytes = fs::read(from).map_err(failed(from))?;
    let path = folder.join(NAME);
    if fs::read(&path).is_ok_and(|found| found == bytes) {
        return Ok(false);
    }
    fs::create_dir_all(folder).map_err(failed(folder))?;
    file::replace(&path, &bytes, 0o755).map_err(failed(&path))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_copied_once() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("plugin"), folder.path().join("opt/cni/bin"));
        let error = install(&from, &to).unwrap_err();
        assert!(error.to_string().contains("plugin: "), "{error}");
        fs::write(&from, "one").unwrap();
        assert!(install(&from, &to).unwrap() && !install(&from, &to).unwrap());
        fs::write(&from, "two").unwrap();
        assert!(install(&from, &to).unwrap());
        assert_eq!(fs::read(to.join(NAME)).unwrap(), b"two");
    }
}
