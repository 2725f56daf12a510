//! Every developer command; CI calls the same ones.
//!
//! ```text
//!   setup ──▶ build-ebpf ──▶ lint
//!                        ├─▶ test [TIER]
//!                        ├─▶ demo
//!                        ├─▶ differential
//!                        ├─▶ fuzz [TARGET]
//!                        ├─▶ mutants
//!                        ├─▶ bench
//!                        └─▶ build
//! ```
//! Each command does what stands to its left first, as far as it needs it and as far as it is not done.

mod arch;
mod bench;
mod build;
mod cluster;
mod demo;
mod differential;
mod ebpf;
mod fuzz;
mod image;
mod kernels;
mod lint;
mod mutants;
mod privilege;
mod setup;
mod step;
mod test;
mod times;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use workspace::Workspace;

/// Ferrule's developer commands
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and the demo need, or what a test tier needs, and say what and why
    Setup {
        /// A test tier, for what only it needs
        tier: Option<test::Tier>,
    },
    /// Build the eBPF programs into target/ebpf, and add up their stack
    BuildEbpf,
    /// Build static release binaries of the agent, the plugin and the command line
    Build {
        /// For which architecture [default: this machine's]
        #[arg(long)]
        arch: Option<arch::Arch>,
    },
    /// Formatting, imports, clippy, dependencies with their advisories, the map ABI, the programs' stack and the chart
    Lint {
        /// These checks only, by a part of their names: `circles`, `clippy`, `format`, …
        checks: Vec<String>,
        /// Write common/abi.lock anew, after raising the layout's version
        #[arg(long)]
        update_abi: bool,
        /// Write deploy/kubernetes/ferrule.yaml anew, after changing the chart
        #[arg(long)]
        update_manifest: bool,
    },
    /// Run one tier of tests, or all
    Test {
        /// The tier [default: all]
        tier: Option<test::Tier>,
        /// Further arguments for nextest, such as a part of a test's name
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Two nodes on this machine, pods on both, and who reaches whom
    Demo {
        /// Leave everything running and print how to look around
        #[arg(long, conflicts_with = "clean")]
        keep: bool,
        /// Remove what a former `demo --keep` left
        #[arg(long)]
        clean: bool,
    },
    /// Random clusters, events and packets: the loaded programs over compiled policies, against the oracle
    Differential(differential::Options),
    /// Build the container image and write its archive
    Image(image::Options),
    /// A real Kubernetes cluster on this machine
    #[command(subcommand)]
    Cluster(cluster::Action),
    /// Parsers and programs meet inputs that nobody wrote, for longer than the tests do
    Fuzz(fuzz::Options),
    /// Breaks rules of the policy compiler and of the programs one at a time: some test has to fail for each
    Mutants(mutants::Options),
    /// This datapath beside others on this machine: latency, throughput, ADD and DEL, memory
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = Workspace::find().and_then(|workspace| match Cli::parse().command {
        Command::Setup { tier } => setup::run(&workspace, tier),
        Command::BuildEbpf => setup::building(&workspace)
            .and_then(|()| ebpf::build(&workspace))
            .and_then(|()| lint::stack::check(&workspace)),
        Command::Build { arch } => build::release(&workspace, arch.unwrap_or(arch::Arch::host())),
        Command::Lint { checks, update_abi, update_manifest } => {
            lint::run(&workspace, &checks, update_abi, update_manifest)
        }
        Command::Test { tier, arguments } => test::run(&workspace, tier, &arguments),
        Command::Demo { keep, clean } => demo::run(&workspace, keep, clean),
        Command::Differential(options) => differential::run(&workspace, options),
        Command::Image(options) => image::run(&workspace, &options),
        Command::Cluster(action) => cluster::run(&workspace, &action),
        Command::Fuzz(options) => fuzz::run(&workspace, &options),
        Command::Mutants(options) => mutants::run(&workspace, &options),
        Command::Bench(options) => bench::run(&workspace, &options),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
