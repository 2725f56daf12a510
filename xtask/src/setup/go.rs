//! Go, which Kubernetes, Helm and CoreDNS are built with: one that is installed and new enough, else a newer one that the
//! installed one fetches as a module (<https://go.dev/doc/toolchain>).

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use super::apt::{self, Need};
use crate::{step::capture, workspace::program};

/// What Kubernetes' modules ask for.
const LEAST: (u32, u32) = (1, 24);
/// What is fetched where the installed one is older.
const FETCHED: &str = "1.24.9";

/// The command `go` of one that is new enough, installed where it is missing.
///
/// # Errors
/// Where there is none and none can be fetched.
pub fn ensure() -> Result<PathBuf> {
    let find = || program("go").or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|go| go.exists()));
    if find().is_none() {
        apt::ensure(&[Need::program(
            "go",
            &["golang-go"],
            "builds Kubernetes, Helm and CoreDNS for the test cluster",
        )])?;
    }
    let go = find().context("go was installed but is not in PATH")?;
    let version = capture(Command::new(&go).args(["env", "GOVERSION"]))?;
    let Some(version) = parse(version.trim()) else { bail!("{}: {version:?} is no version of Go", go.display()) };
    if version >= LEAST { Ok(go) } else { fetch(&go) }
}

/// From `go1.24.9`.
fn parse(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("go")?.split(['.', '-', 'r', 'b']).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn fetch(go: &PathBuf) -> Result<PathBuf> {
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let module = format!("golang.org/toolchain@v0.0.1-go{FETCHED}.linux-{arch}");
    println!("go {FETCHED}: Kubernetes needs at least {}.{}", LEAST.0, LEAST.1);
    capture(Command::new(go).args(["mod", "download", &module]).current_dir(std::env::temp_dir()))?;
    let cache = capture(Command::new(go).args(["env", "GOMODCACHE"]))?;
    let root = PathBuf::from(cache.trim()).join(module);
    // A module's files are not executable.
    for folder in ["bin", "pkg/tool"] {
        executable(&root.join(folder))?;
    }
    Ok(root.join("bin/go"))
}

fn executable(folder: &PathBuf) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            executable(&path)?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse("go1.24.9"), Some((1, 24)));
        assert_eq!(parse("go1.19.8"), Some((1, 19)));
        assert_eq!(parse("go1.25rc1"), Some((1, 25)));
        assert_eq!(parse("devel"), None);
    }
}
