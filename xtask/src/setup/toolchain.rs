//! A Rust toolchain that can build `core` for eBPF: one with core's sources, and with unstable features.
//!
//! Its LLVM must not be newer than the linker's ([`super::linker`]), which reads its bitcode.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{apt, llvm};
use crate::{step::step, workspace::program};

/// The nightly that is installed where rustup can: the last that was tried, with LLVM 22.
const NIGHTLY: &str = "nightly-2026-05-20";

/// Where Debian's and Ubuntu's packages put rustc and its sources.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// The packages that bring a stable compiler with core's sources: Debian's for browsers, then the general ones.
const FAMILIES: [[&str; 3]; 2] = [["rustc-web", "cargo-web", "rust-web-src"], ["rustc", "cargo", "rust-src"]];

/// The workspace's `rust-version`.
const OLDEST_RUST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A toolchain that can build for eBPF.
#[derive(Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// One of rustup's nightlies, by name.
    Nightly(String),
    /// The distribution's stable compiler, with unstable features switched on.
    System,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nightly(name) => f.write_str(name),
            Self::System => f.write_str(SYSTEM_RUSTC),
        }
    }
}

impl Toolchain {
    /// Its cargo, told to use its rustc.
    pub fn cargo(&self) -> Command {
        let mut command = match self {
            Self::Nightly(name) => {
                let mut command = Command::new("rustup");
                command.args(["run", name, "cargo"]);
                command
            }
            Self::System => {
                let mut command = Command::new("/usr/bin/cargo");
                command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", SYSTEM_RUSTC);
                command
            }
        };
        // What the cargo that runs xtask says of itself.
        for variable in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTDOC"] {
            command.env_remove(variable);
        }
        command
    }

    fn rustc(&self) -> Command {
        match self {
            Self::Nightly(name) => {
                let mut command = Command::new("rustup");
                command.args(["run", name, "rustc"]);
                command
            }
            Self::System => Command::new(SYSTEM_RUSTC),
        }
    }

    /// Whether its core's sources are there and the linker can read its bitcode.
    fn is_complete(&self) -> bool {
        let sources =
            |sysroot: String| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs").exists();
        output(self.rustc().args(["--print", "sysroot"])).is_some_and(sources)
            && output(self.rustc().arg("-vV")).is_some_and(|text| fits(&text))
    }
}

/// The first toolchain that is there and complete.
pub fn find() -> Option<Toolchain> {
    let system =
        || (Path::new(SYSTEM_RUSTC).exists() && PathBuf::from("/usr/bin/cargo").exists()).then_some(Toolchain::System);
    nightlies().into_iter().map(Toolchain::Nightly).chain(system()).find(Toolchain::is_complete)
}

/// Installs one where none is there: a nightly by rustup, else the distribution's.
///
/// # Errors
/// Where neither can be had.
pub fn ensure() -> Result<()> {
    if find().is_some() {
        return Ok(());
    }
    println!("the eBPF programs need a compiler that builds core for their target: one with core's sources");
    if program("rustup").is_some() {
        let mut rustup = Command::new("rustup");
        rustup.args(["toolchain", "install", NIGHTLY, "--profile", "minimal", "--component", "rust-src"]);
        rustup.arg("--no-self-update");
        match step(&format!("rustup toolchain install {NIGHTLY} with rust-src"), &mut rustup) {
            Ok(()) if find().is_some() => return Ok(()),
            Ok(()) => eprintln!("{NIGHTLY} lacks core's sources; trying the distribution's compiler"),
            Err(error) => eprintln!("{error:#}; trying the distribution's compiler"),
        }
    }
    if program("apt-get").is_some() {
        apt::update()?;
        let fits = |package: &&str| apt::candidate(package).is_some_and(|version| is_recent(&version));
        if let Some(family) = FAMILIES.iter().find(|[rustc, ..]| fits(rustc)) {
            apt::install(family)?;
        }
    }
    find().map(drop).context(
        "no compiler that can build for eBPF could be installed; \
         install rustup's nightly with rust-src, or rustc, cargo and rust-src of 1.95 or later from the distribution",
    )
}

/// A nightly of rustup's that has rustfmt, which is added where it can be.
pub fn formatter() -> Option<String> {
    let has_rustfmt =
        |name: &String| output(Command::new("rustup").args(["run", name, "rustfmt", "--version"])).is_some();
    let nightlies = nightlies();
    if let Some(name) = nightlies.iter().find(|name| has_rustfmt(name)) {
        return Some(name.clone());
    }
    let name = nightlies.into_iter().next()?;
    let mut rustup = Command::new("rustup");
    rustup.args(["component", "add", "rustfmt", "--toolchain", &name]);
    step(&format!("rustup component add rustfmt ({name})"), &mut rustup).ok()?;
    Some(name).filter(has_rustfmt)
}

/// Names of rustup's nightlies, the one that was tried first.
fn nightlies() -> Vec<String> {
    let list = output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let names =
        list.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| name.starts_with("nightly"));
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort_by_key(|name| !name.starts_with(NIGHTLY));
    names
}

/// Whether the compiler that says `text` of itself is recent enough, and not too recent for the linker.
fn fits(text: &str) -> bool {
    text.lines().find_map(|line| line.strip_prefix("release: ")).is_some_and(is_recent)
        && llvm(text).is_some_and(|major| major <= llvm::NEWEST)
}

/// Whether a version of rustc is at least the workspace's.
fn is_recent(version: &str) -> bool {
    let minor = |version: &str| -> Option<u32> { version.strip_prefix("1.")?.split('.').next()?.parse().ok() };
    minor(version) >= minor(OLDEST_RUST)
}

/// The major version of LLVM in what `rustc -vV` says.
fn llvm(text: &str) -> Option<u32> {
    text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?.split('.').next()?.parse().ok()
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.env_remove("RUSTUP_TOOLCHAIN").stdin(std::process::Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The major version of the LLVM that the newest compiler here brings, for choosing a linker's.
///
/// # Errors
/// Where no compiler can be asked.
pub fn newest_llvm() -> Result<u32> {
    let Some(toolchain) = find() else { bail!("no compiler for eBPF is there") };
    output(toolchain.rustc().arg("-vV"))
        .and_then(|text| llvm(&text))
        .with_context(|| format!("`rustc -vV` of {toolchain} names no LLVM version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_is_measured_by_its_release_and_its_llvm() {
        assert!(fits("release: 1.96.0\nLLVM version: 22.1.8\n"));
        assert!(fits("release: 1.97.0-nightly\nLLVM version: 22.1.4\n"));
        assert!(!fits("release: 1.85.0\nLLVM version: 19.1.7\n"));
        assert!(!fits("release: 1.99.0\nLLVM version: 24.0.0\n"));
        assert!(is_recent("1.96.0+dfsg1-1~deb12u2") && !is_recent("1.63.0+dfsg1-2"));
    }

    #[test]
    fn the_llvm_version_is_read_from_rustc() {
        assert_eq!(llvm("rustc 1.96.0\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(llvm("rustc 1.96.0\n"), None);
    }
}
