//! Goes on with the fuzz tests of the unit and packets tiers for as long as one likes.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{arch::Arch, ebpf, kernels::Binaries, privilege, setup, workspace::Workspace};

/// What meets inputs that nobody wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// Kubernetes objects as YAML and JSON
    Manifests,
    /// What a runtime hands to the plugin: environment and stdin
    Calls,
    /// Packets, through the loaded programs
    Packets,
}

/// How long, and where it begins.
#[derive(Debug, Args)]
pub struct Options {
    /// What is tried [default: everything, one after another]
    target: Option<Target>,
    /// How long each is tried
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Where the random numbers begin [default: another one each time, which is told]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Write inputs with a new outcome into the corpus
    #[arg(long)]
    keep: bool,
}

impl Target {
    const ALL: [Self; 3] = [Self::Manifests, Self::Calls, Self::Packets];

    /// Its test binary.
    const fn binary(self) -> &'static str {
        match self {
            Self::Manifests => "fuzz_manifests",
            Self::Calls => "fuzz_calls",
            Self::Packets => "fuzz_packets",
        }
    }
}

/// Builds and runs it.
///
/// # Errors
/// Where something is found, or it cannot be run.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    setup::building(workspace)?;
    let targets = options.target.map_or(Target::ALL.to_vec(), |target| vec![target]);
    if targets.contains(&Target::Packets) {
        ebpf::build(workspace)?;
    }
    let binaries = Binaries::build(workspace, Arch::host())?;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs());
    let seed = options.seed.unwrap_or_else(now);
    let mut found = Vec::new();
    for target in targets {
        println!("{}: {} s from seed {seed}", target.binary(), options.seconds);
        let file = binaries.get(target.binary())?;
        let mut command = match target {
            Target::Packets => privilege::root("load eBPF programs")?.command(file),
            Target::Manifests | Target::Calls => Command::new(file),
        };
        command.arg("--nocapture").env("FERRULE_EBPF_DIR", workspace.ebpf());
        command.env("FERRULE_FUZZ_SECONDS", options.seconds.to_string()).env("FERRULE_FUZZ_SEED", seed.to_string());
        if options.keep {
            command.env("FERRULE_FUZZ_KEEP", "1");
        }
        if !command.status().with_context(|| format!("{} cannot be started", file.display()))?.success() {
            found.push(target.binary());
        }
    }
    if !found.is_empty() {
        bail!("{}: something was found; what stands above names the file", found.join(", "));
    }
    Ok(())
}
