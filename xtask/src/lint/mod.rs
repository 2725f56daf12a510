//! What a machine can judge of a change.

mod abi;
mod advisories;
mod btf;
mod chart;
mod layout;
pub mod stack;

use anyhow::{Context, Result, bail};

use crate::{
    ebpf,
    setup::{self, tools},
    step::step,
    workspace::Workspace,
};

/// A name and what it runs.
type Check = (&'static str, fn(&Workspace) -> Result<()>);

/// Runs every check, also after one failed, so that one run tells all.
///
/// # Errors
/// Which checks failed.
pub fn run(workspace: &Workspace, update_abi: bool, update_manifest: bool) -> Result<()> {
    if update_manifest {
        return chart::update(workspace);
    }
    setup::linting(workspace)?;
    ebpf::build(workspace)?;
    if update_abi {
        return abi::update(workspace);
    }
    let checks: [Check; 6] = [
        ("format", format),
        ("clippy", clippy),
        ("cargo deny", deny),
        ("map ABI", abi::check),
        ("programs' stack", stack::check),
        ("chart and manifest", chart::check),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = check(workspace) {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    }
    let unchecked = advisories::check(workspace).unwrap_or_else(|error| {
        eprintln!("advisories: {error:#}");
        failed.push("advisories");
        None
    });
    if !failed.is_empty() {
        bail!("lint: {} failed; what they found stands above", failed.join(", "));
    }
    println!("lint: format, clippy, cargo deny, map ABI, the programs' stack and the chart have nothing to say");
    // Last, so that nobody overlooks it.
    if let Some(why) = unchecked {
        println!("lint: NOT CHECKED: advisories about dependencies: {why}");
    }
    Ok(())
}

fn format(workspace: &Workspace) -> Result<()> {
    step("cargo fmt --check", workspace.cargo().args(["fmt", "--all", "--check"])).context("`cargo fmt --all` mends it")
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut host = workspace.cargo();
    host.args(["clippy", "--all-targets", "--", "--deny", "warnings"]);
    step("clippy", &mut host)?;
    // The eBPF crate's library compiles for this machine too, where clippy is; its binaries have no main here.
    let mut programs = workspace.cargo();
    programs.args(["clippy", "--package", "ferrule-ebpf", "--lib", "--", "--deny", "warnings"]);
    step("clippy of the eBPF programs", &mut programs)
}

fn deny(workspace: &Workspace) -> Result<()> {
    let mut deny = tools::command(workspace, tools::DENY)?;
    // Advisories have a check of their own, since they are a download.
    step("cargo deny", deny.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
}
