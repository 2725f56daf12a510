//! Ferrule's image, put together of the binaries that tests run: with their libraries, since they are not linked statically.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use super::{archive, places::binaries, process::run};

/// The image's programs, the first being what it runs.
const PROGRAMS: [&str; 3] = ["ferrule-agent", "ferrule-cni", "ferrule"];

/// Writes an image whose agent is the binary of this name.
///
/// # Errors
/// Where a binary was not built, or the archive cannot be written.
pub fn write(image: &str, agent: &str, file: &Path) -> Result<()> {
    let (from, parts) = (binaries()?, file.with_extension("programs"));
    fs::create_dir_all(&parts).with_context(|| parts.display().to_string())?;
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    let mut libraries: Vec<String> = Vec::new();
    for name in PROGRAMS {
        let program = from.join(if name == PROGRAMS[0] { agent } else { name });
        let small = parts.join(name);
        ensure!(program.exists(), "{} is missing; `cargo xtask test cluster` builds it", program.display());
        run(Command::new("strip").arg("-o").arg(&small).arg(&program))?;
        libraries.extend(libraries_of(&program)?);
        files.push((format!("usr/bin/{name}"), small));
    }
    libraries.sort();
    libraries.dedup();
    files.extend(libraries.into_iter().map(|library| (library.trim_start_matches('/').to_owned(), library.into())));
    let files: Vec<(&str, PathBuf)> = files.iter().map(|(name, file)| (name.as_str(), file.clone())).collect();
    archive::write(image, &files, file)?;
    Ok(fs::remove_dir_all(parts)?)
}

/// The shared libraries of a program and their loader, as `ldd` finds them.
fn libraries_of(program: &Path) -> Result<Vec<String>> {
    let listing = run(Command::new("ldd").arg(program).env("LC_ALL", "C"))?;
    let file = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    Ok(listing.lines().filter_map(file).collect())
}
