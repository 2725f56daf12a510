//! The differential test: built here, run as root.

use anyhow::{Result, bail};
use clap::Args;

use crate::{ebpf, privilege, setup, step::step, test::Summary, workspace::Workspace};

/// How long it goes on, and where it begins.
#[derive(Debug, Clone, Copy, Args)]
pub struct Options {
    /// At least so many packets
    #[arg(long, value_name = "N", default_value = "100000")]
    packets: u64,
    /// The first case's seed
    #[arg(long, value_name = "S", default_value = "1")]
    seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { packets: 100_000, seed: 1 }
    }
}

/// Builds and runs it.
///
/// # Errors
/// Where the two differ, or it cannot be run.
pub fn run(workspace: &Workspace, options: Options) -> Result<()> {
    privilege::root("load eBPF programs")?;
    setup::building(workspace)?;
    ebpf::build(workspace)?;
    step(
        "build the differential test",
        workspace.cargo().args(["build", "--package", "packet-tests", "--bin", "differential"]),
    )?;
    if !passes(workspace, options)? {
        bail!("datapath and oracle differ; what stands above names the seed and the step");
    }
    Ok(())
}

/// As one test of a tier, of what is built already.
///
/// # Errors
/// Where it cannot be started.
pub fn test(workspace: &Workspace) -> Result<Summary> {
    let passed = passes(workspace, Options::default())?;
    Ok(Summary { passed: passed.into(), failed: (!passed).into(), succeeded: passed })
}

fn passes(workspace: &Workspace, options: Options) -> Result<bool> {
    let mut command = privilege::root("load eBPF programs")?.command(workspace.binaries().join("differential"));
    command.env("FERRULE_EBPF_DIR", workspace.ebpf());
    command.args(["--packets", &options.packets.to_string(), "--seed", &options.seed.to_string()]);
    Ok(command.status()?.success())
}
