//! The shared libraries that a program needs, for a guest of this machine's architecture.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::step::capture;

/// Their files, and the loader's, as `ldd` finds them.
///
/// # Errors
/// Where one is missing.
pub fn of(program: &Path) -> Result<Vec<PathBuf>> {
    read(&capture(Command::new("ldd").arg(program).env("LC_ALL", "C"))?)
}

/// From lines such as `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f…)`.
fn read(text: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.ends_with("not found") {
            bail!("a library is missing: {line}");
        }
        let file = line.split_once(" => ").map_or(line, |(_, file)| file).split_whitespace().next().unwrap_or_default();
        if file.starts_with('/') {
            files.push(PathBuf::from(file));
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_their_loader_are_found() {
        let text =
            "\tlinux-vdso.so.1 (0x7ff)\n\tlibc.so.6 => /lib/libc.so.6 (0x7f1)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f2)\n";
        assert_eq!(
            read(text).expect("all are there"),
            [Path::new("/lib/libc.so.6"), "/lib64/ld-linux-x86-64.so.2".as_ref()]
        );
        assert!(read("\tlibfoo.so.1 => not found\n").is_err());
    }
}
