//! What building for another architecture needs: its C library and linker from the distribution, and Rust's standard
//! library from rustup.

use std::{path::Path, process::Command};

use anyhow::{Context, Result};

use super::apt::{self, Need};
use crate::{
    arch::Arch,
    step::{capture, step},
    workspace::program,
};

/// Installs what is missing; nothing for this machine's own architecture.
///
/// # Errors
/// Where something cannot be installed.
pub fn ensure(arch: Arch) -> Result<()> {
    if arch == Arch::host() {
        return Ok(());
    }
    apt::ensure(&[linker(arch), libc(arch)])?;
    if has_std(arch) {
        return Ok(());
    }
    let target = arch.target();
    println!("rust-std for {target}: is what programs for {} are linked with", arch.debian());
    if program("rustup").is_some() {
        step(&format!("rustup target add {target}"), Command::new("rustup").args(["target", "add", &target]))?;
    }
    has_std(arch).then_some(()).with_context(|| {
        format!(
            "the compiler that `rustc` starts has no standard library for {target}; add it (rustup target add {target})"
        )
    })
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
