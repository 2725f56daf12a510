//! `cargo xtask cluster`: a real Kubernetes cluster on this machine, for developers (`test_kit::cluster` says what it is).

mod install;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use test_kit::cluster::{Cluster, own_image};

/// A Kubernetes cluster on this machine
#[derive(Parser)]
#[command(name = "cargo xtask cluster")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the control plane and nodes; what runs already is left alone
    Up {
        /// How many nodes
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// Put Ferrule's image together of the binaries that tests run
    Image {
        /// Its name
        name: String,
        /// The archive to write
        archive: PathBuf,
    },
    /// Give an image's archive to every node
    Load {
        /// The archive
        archive: PathBuf,
    },
    /// Install Ferrule from the manifest, with this cluster's addresses, and CoreDNS; wait until all nodes are ready
    Install {
        /// The rendered manifest
        manifest: PathBuf,
    },
    /// kubectl, as the administrator
    Kubectl {
        /// Its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// The last lines of every component's log
    Logs {
        /// Lines of each
        #[arg(long, default_value_t = 20)]
        lines: usize,
    },
    /// End and remove all of it
    Down,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let cluster = Cluster::from_env()?;
    match command {
        Command::Up { nodes } => {
            cluster.up(nodes)?;
            print!("{}", cluster.kubectl(&["get", "nodes", "-o", "wide"])?);
        }
        Command::Image { name, archive } => own_image::write(&name, "ferrule-agent", &archive)?,
        Command::Load { archive } => cluster.load(&archive)?,
        Command::Install { manifest } => install::install(&cluster, &manifest)?,
        Command::Kubectl { arguments } => {
            let status = cluster.kubectl_command().args(arguments).status()?;
            return Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .map_or(ExitCode::FAILURE, ExitCode::from));
        }
        Command::Logs { lines } => logs(&cluster, lines)?,
        Command::Down => cluster.down()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn logs(cluster: &Cluster, lines: usize) -> Result<()> {
    let folders = cluster.nodes().into_iter().map(|node| node.machine.folder.join("log"));
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in folders.chain([cluster.control.folder.clone()]) {
        let found = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        files.extend(found.filter(|path| path.extension().is_some_and(|ending| ending == "log")));
    }
    files.sort();
    if files.is_empty() {
        bail!("there is no cluster; start one with `cargo xtask cluster up`");
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        println!("==> {}\n{}", file.display(), all[all.len().saturating_sub(lines)..].join("\n"));
    }
    Ok(())
}
