//! What building for another architecture needs: its C library and linker from the distribution, and Rust's standard
//! library from rustup, or from the distribution where its compiler is in use.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use super::{
    apt::{self, Need},
    private_apt::PrivateApt,
};
use crate::{
    arch::Arch,
    step::{capture, step},
    workspace::{Workspace, program},
};

/// The packages with a distribution's standard library.
const PACKAGES: [&str; 2] = ["libstd-rust-web-dev", "libstd-rust-dev"];

/// Installs what is missing; nothing for this machine's own architecture.
///
/// # Errors
/// Where something cannot be installed.
pub fn ensure(workspace: &Workspace, arch: Arch) -> Result<()> {
    if arch == Arch::host() {
        return Ok(());
    }
    apt::ensure(&[linker(arch), libc(arch)])?;
    if has_std(arch) || sysroot(workspace, arch).is_some() {
        return Ok(());
    }
    let target = arch.target();
    println!("Rust's standard library for {target}: is what programs for {} are linked with", arch.debian());
    let added = program("rustup").is_some()
        && step(&format!("rustup target add {target}"), Command::new("rustup").args(["target", "add", &target]))
            .is_ok();
    if added && has_std(arch) {
        return Ok(());
    }
    if let Err(error) = unpack(workspace, arch) {
        bail!(
            "the compiler that `rustc` starts has no standard library for {target}: add it (rustup target add {target}); \
             the distribution's could not be had either: {error:#}"
        );
    }
    Ok(())
}

/// The distribution's standard library, where it had to be unpacked: `rustc --sysroot`.
pub fn sysroot(workspace: &Workspace, arch: Arch) -> Option<PathBuf> {
    let root = folder(workspace, arch).join("root/usr");
    (!has_std(arch) && root.join("lib/rustlib").join(arch.target()).is_dir()).then_some(root)
}

fn folder(workspace: &Workspace, arch: Arch) -> PathBuf {
    workspace.root.join("target/std").join(arch.debian())
}

/// Unpacks the package of the version that is installed for this machine's architecture.
fn unpack(workspace: &Workspace, arch: Arch) -> Result<()> {
    let version = |package: &str| capture(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package])).ok();
    let Some((package, version)) = PACKAGES.iter().find_map(|package| Some((package, version(package)?))) else {
        bail!("rustc is not the distribution's");
    };
    let apt = PrivateApt { folder: folder(workspace, arch), arch, sources: None };
    apt.update(&format!("read the lists of packages for {}", arch.debian()))?;
    apt.unpack(&[format!("{package}={version}")], &apt.folder.join("root"))
}

/// Whether the compiler in use has the standard library for it.
fn has_std(arch: Arch) -> bool {
    capture(Command::new("rustc").args(["--print", "target-libdir", "--target", &arch.target()]))
        .is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

fn linker(arch: Arch) -> Need {
    match arch {
        Arch::Amd64 => Need::program("x86_64-linux-gnu-gcc", &["gcc-x86-64-linux-gnu"], "links programs for amd64"),
        Arch::Arm64 => Need::program("aarch64-linux-gnu-gcc", &["gcc-aarch64-linux-gnu"], "links programs for arm64"),
    }
}

fn libc(arch: Arch) -> Need {
    let packages: &[&str] = match arch {
        Arch::Amd64 => &["libc6-dev-amd64-cross"],
        Arch::Arm64 => &["libc6-dev-arm64-cross"],
    };
    Need {
        probe: apt::Probe::File(format!("/usr/{}-linux-gnu/lib/libc.a", arch.gnu())),
        packages,
        why: "is the C library that they are linked with",
    }
}
