//! Release binaries that need nothing but a kernel.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::{arch::Arch, ebpf, setup, step::step, workspace::Workspace};

/// What an installation consists of.
const BINARIES: [&str; 3] = ["ferrule-agent", "ferrule-cni", "ferrule"];

/// Builds them statically, with glibc, which is the one that links so without a further toolchain.
///
/// # Errors
/// Where something is missing or does not compile.
pub fn release(workspace: &Workspace, arch: Arch) -> Result<()> {
    let folder = statically(workspace, &BINARIES, arch)?;
    for binary in BINARIES {
        println!("{}", folder.join(binary).display());
    }
    Ok(())
}

/// Builds these binaries as releases are built; the folder that they are in then.
///
/// # Errors
/// As [`release`].
pub fn statically(workspace: &Workspace, binaries: &[&str], arch: Arch) -> Result<PathBuf> {
    setup::building(workspace)?;
    setup::cross::ensure(workspace, arch)?;
    ebpf::build(workspace)?;
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--release"]);
    cargo.args(binaries.iter().flat_map(|binary| ["--bin", *binary]));
    target(workspace, &mut cargo, arch);
    step(&format!("build static release binaries ({})", arch.debian()), &mut cargo)?;
    Ok(workspace.target.join(arch.target()).join("release"))
}

/// Makes a cargo that builds link statically, for an architecture.
pub fn target(workspace: &Workspace, cargo: &mut Command, arch: Arch) {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    if arch != Arch::host() {
        let name = arch.target().to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{name}_LINKER"), format!("{}-linux-gnu-gcc", arch.gnu()));
        flags.extend(setup::cross::sysroot(workspace, arch).map(|root| format!("--sysroot={}", root.display())));
    }
    cargo.args(["--target", &arch.target()]).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
}
