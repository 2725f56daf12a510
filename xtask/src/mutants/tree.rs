//! A copy of the sources, in which rules are broken, with a target folder of its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::workspace::Workspace;

/// The copy.
#[derive(Debug)]
pub struct Tree {
    /// As commands see it.
    pub workspace: Workspace,
}

impl Tree {
    /// Brings it up to date; files that are the same are not touched, so that they are not compiled again.
    ///
    /// # Errors
    /// Where a file cannot be read or written.
    pub fn of(workspace: &Workspace) -> Result<Self> {
        let root = workspace.target.join("mutants");
        copy(&workspace.root, &root)?;
        Ok(Self { workspace: Workspace { target: root.join("target"), root } })
    }

    /// Reads one of its files.
    ///
    /// # Errors
    /// The file system's.
    pub fn read(&self, file: &str) -> Result<String> {
        let path = self.path(file);
        fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
    }

    /// Writes one of its files.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.path(file);
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    fn path(&self, file: &str) -> PathBuf {
        self.workspace.root.join(file)
    }
}

/// Makes `to` what `from` is, but for what is built and what git keeps.
fn copy(from: &Path, to: &Path) -> Result<()> {
    const LEFT_OUT: [&str; 2] = ["target", ".git"];
    fs::create_dir_all(to).with_context(|| format!("{} cannot be made", to.display()))?;
    let names = |folder: &Path| -> Result<Vec<_>> {
        let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        let names = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        Ok(names.into_iter().filter(|name| LEFT_OUT.iter().all(|out| name != out)).collect())
    };
    for name in names(to)? {
        if !from.join(&name).exists() {
            let gone = to.join(&name);
            if gone.is_dir() { fs::remove_dir_all(&gone) } else { fs::remove_file(&gone) }
                .with_context(|| format!("{} cannot be removed", gone.display()))?;
        }
    }
    for name in names(from)? {
        let (old, new) = (from.join(&name), to.join(&name));
        if old.is_dir() {
            copy(&old, &new)?;
            continue;
        }
        let bytes = fs::read(&old).with_context(|| format!("{} cannot be read", old.display()))?;
        if fs::read(&new).is_ok_and(|there| there == bytes) {
            continue;
        }
        fs::write(&new, bytes).with_context(|| format!("{} cannot be written", new.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_its_original_and_leaves_out_what_is_built() {
        let folder = std::env::temp_dir().join(format!("ferrule-mutants-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("a/target")).unwrap();
        fs::write(from.join("a/b"), "1").unwrap();
        fs::write(from.join("c"), "2").unwrap();
        copy(&from, &to).unwrap();
        let modified = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        let before = modified(&to.join("a/b"));
        fs::remove_file(from.join("c")).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/b")).unwrap(), "1");
        assert_eq!(modified(&to.join("a/b")), before);
        assert!(!to.join("c").exists() && !to.join("a/target").exists());
        fs::remove_dir_all(&folder).unwrap();
    }
}
