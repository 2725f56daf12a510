//! The container image: static binaries and nothing else.

mod lock;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
pub use lock::check;

use crate::{arch::Arch, build, privilege, setup, step::step, workspace::Workspace};

/// The image's name, as manifest and chart have it: where it is to be found is up to whoever installs it.
pub const NAME: &str = concat!("localhost/ferrule:", env!("CARGO_PKG_VERSION"));
/// Bytes that an image has to stay under: every node pulls it.
const MOST: u64 = 40_000_000;
const CONTAINERFILE: &str = "deploy/image/Containerfile";
const BINARIES: [&str; 3] = ["ferrule-agent", "ferrule-cni", "ferrule"];

/// `cargo xtask image`.
#[derive(Debug, Args)]
pub struct Options {
    /// The archive to write, which `ctr images import` and `podman load` read [default: target/image/ferrule-ARCH.tar]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// For which architecture [default: this machine's]
    #[arg(long)]
    arch: Option<Arch>,
}

/// Builds it and says where it is.
///
/// # Errors
/// Where something is missing or does not build.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let arch = options.arch.unwrap_or(Arch::host());
    let file = match &options.output {
        Some(file) => file.clone(),
        None => archive(workspace, arch),
    };
    write(workspace, arch, NAME, &file)?;
    let size = fs::metadata(&file)?.len();
    println!("{}: {NAME} for {}, {:.1} MB", file.display(), arch.debian(), size as f64 / 1e6);
    if arch == Arch::host() { lock::write(workspace, size) } else { Ok(()) }
}

/// Where the archive is, unless told otherwise.
pub fn archive(workspace: &Workspace, arch: Arch) -> PathBuf {
    workspace.root.join(format!("target/image/ferrule-{}.tar", arch.debian()))
}

/// Builds the image under a name, and writes its archive.
///
/// # Errors
/// As [`run`].
pub fn write(workspace: &Workspace, arch: Arch, name: &str, file: &Path) -> Result<()> {
    setup::image()?;
    let binaries = build::statically(workspace, &BINARIES, arch)?;
    let context = workspace.root.join("target/image").join(arch.debian());
    fs::create_dir_all(&context).with_context(|| context.display().to_string())?;
    for binary in BINARIES {
        fs::copy(binaries.join(binary), context.join(binary)).with_context(|| binary.to_owned())?;
    }
    let privilege = privilege::root("put the image together (buildah's chroot isolation)")?;
    let storage = workspace.root.join("target/image/storage");
    let buildah = |arguments: &[&str]| -> Command {
        let mut command = privilege.command("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(storage.join("root"));
        command.arg("--runroot").arg(storage.join("run")).args(arguments);
        command
    };
    let mut bud = buildah(&["bud", "--isolation", "chroot", "--format", "oci", "--arch", arch.debian(), "--tag", name]);
    bud.arg("--file").arg(workspace.root.join(CONTAINERFILE)).arg(&context);
    step(&format!("put the image together ({})", arch.debian()), &mut bud)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    // The archive takes no second image of the same name.
    let _ = fs::remove_file(file);
    let to = format!("oci-archive:{}:{name}", file.display());
    step("write its archive", &mut buildah(&["push", "--quiet", name, &to]))?;
    let size = fs::metadata(file)?.len();
    ensure!(size < MOST, "{}: {size} bytes; an image has to stay under {MOST}", file.display());
    Ok(())
}
