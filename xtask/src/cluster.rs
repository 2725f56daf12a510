//! `cargo xtask cluster`: what the developers' cluster is made of is built here; `bpf-tests/kit/src/bin/cluster` runs it as root.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::{
    arch::Arch,
    ebpf, image,
    privilege::{self, Privilege},
    setup,
    step::step,
    workspace::Workspace,
};

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Start a control plane and nodes, real ones, as namespaces of this machine; what runs already is left alone
    Up {
        /// How many nodes, 4 at most
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// Give an image's archive to every node [default: Ferrule's own, built here]
    Load {
        /// The archive
        archive: Option<PathBuf>,
    },
    /// Build and load the image, install Ferrule and CoreDNS, and wait until all nodes are ready
    Install,
    /// kubectl, as the administrator
    Kubectl {
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The last lines of every component's log
    Logs,
    /// End and remove all of it
    Down,
}

/// Does it.
///
/// # Errors
/// Where something is missing or does not start.
pub fn run(workspace: &Workspace, action: &Action) -> Result<()> {
    let privilege = privilege::root("make namespaces and start containers, as the cluster does")?;
    match action {
        Action::Up { nodes } => {
            prepare(workspace)?;
            started(workspace, privilege, &["up", "--nodes", &nodes.to_string()])
        }
        Action::Load { archive } => {
            let archive = match archive {
                Some(archive) => archive.clone(),
                None => own_image(workspace, privilege)?,
            };
            started(workspace, privilege, &["load", &archive.display().to_string()])
        }
        Action::Install => {
            prepare(workspace)?;
            install(workspace, privilege)
        }
        Action::Kubectl { arguments } => {
            let status = command(workspace, privilege).arg("kubectl").args(arguments).status()?;
            std::process::exit(status.code().unwrap_or(1));
        }
        Action::Logs => finished(&mut command(workspace, privilege), "logs"),
        Action::Down => finished(&mut command(workspace, privilege), "down"),
    }
}

/// The manifest that is installed.
pub const MANIFEST: &str = "deploy/kubernetes/ferrule.yaml";

/// Everything that a cluster needs, but for Ferrule's image.
///
/// # Errors
/// Where something is missing.
pub fn prepare(workspace: &Workspace) -> Result<()> {
    setup::cluster(workspace)?;
    setup::kubernetes::ensure(workspace)?;
    ebpf::build(workspace)?;
    step("build the cluster's starter", workspace.cargo().args(["build", "--bins"]))
}

/// Ferrule's image as it is released, built here.
///
/// # Errors
/// Where it does not build.
pub fn released_image(workspace: &Workspace) -> Result<PathBuf> {
    let file = image::archive(workspace, Arch::host());
    image::write(workspace, Arch::host(), image::NAME, &file)?;
    Ok(file)
}

/// Runs a command of the starter as a step.
///
/// # Errors
/// Where it fails.
pub fn started(workspace: &Workspace, privilege: Privilege, arguments: &[&str]) -> Result<()> {
    let mut command = command(workspace, privilege);
    let label = format!("cluster {}", arguments[0]);
    let mut lines = Vec::new();
    crate::step::step_reading(&label, command.args(arguments), |line| {
        lines.push(line.to_owned());
        true
    })
    .inspect_err(|_| lines.iter().for_each(|line| eprintln!("{line}")))?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn finished(command: &mut Command, action: &str) -> Result<()> {
    let status = command.arg(action).status()?;
    if !status.success() {
        bail!("cluster {action} failed ({status})");
    }
    Ok(())
}

fn command(workspace: &Workspace, privilege: Privilege) -> Command {
    let mut command = privilege.command(workspace.binaries().join("cluster"));
    command.envs(environment(workspace));
    command
}

/// What the starter and the tests find the cluster by.
pub fn environment(workspace: &Workspace) -> [(&'static str, PathBuf); 3] {
    [
        ("FERRULE_CLUSTER", folder(workspace)),
        ("FERRULE_KUBERNETES", setup::kubernetes::folder(workspace)),
        ("FERRULE_MANIFEST", workspace.root.join(MANIFEST)),
    ]
}

/// A cluster of two nodes with Ferrule of this work tree, for tests: one that is there already is used.
///
/// # Errors
/// Where something does not start.
pub fn start(workspace: &Workspace, privilege: Privilege) -> Result<()> {
    setup::kubernetes::ensure(workspace)?;
    setup::kubernetes::helm(workspace)?;
    started(workspace, privilege, &["up", "--nodes", "2"])?;
    install(workspace, privilege)
}

/// Removes it.
///
/// # Errors
/// Where something does not go.
pub fn end(workspace: &Workspace, privilege: Privilege) -> Result<()> {
    started(workspace, privilege, &["down"])
}

fn install(workspace: &Workspace, privilege: Privilege) -> Result<()> {
    let archive = own_image(workspace, privilege)?;
    started(workspace, privilege, &["load", &archive.display().to_string()])?;
    installed(workspace, privilege)
}

/// Ferrule's image of the binaries that are built anyway: a release takes minutes, and is what `cargo xtask image` is for.
fn own_image(workspace: &Workspace, privilege: Privilege) -> Result<PathBuf> {
    let folder = workspace.root.join("target/image");
    std::fs::create_dir_all(&folder)?;
    let archive = folder.join("ferrule-dev.tar");
    started(workspace, privilege, &["image", image::NAME, &archive.display().to_string()])?;
    Ok(archive)
}

fn installed(workspace: &Workspace, privilege: Privilege) -> Result<()> {
    started(workspace, privilege, &["install", &workspace.root.join(MANIFEST).display().to_string()])
}

/// The cluster's state.
pub fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/cluster")
}
