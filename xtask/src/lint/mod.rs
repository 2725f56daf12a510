//! What a machine can judge of a change.

mod abi;
mod advisories;
mod btf;
mod chart;
mod circles;
mod layout;
pub mod stack;
mod unused;

use anyhow::{Context, Result, bail};

use crate::{
    ebpf, image,
    setup::{self, toolchain, tools},
    step::step,
    times,
    workspace::Workspace,
};

/// A name and what it runs.
type Check = (&'static str, fn(&Workspace) -> Result<()>);

/// Runs every check, also after one failed, so that one run tells all.
///
/// # Errors
/// Which checks failed.
pub fn run(workspace: &Workspace, wanted: &[String], update_abi: bool, update_manifest: bool) -> Result<()> {
    if update_manifest {
        return chart::update(workspace);
    }
    setup::linting(workspace)?;
    ebpf::build(workspace)?;
    if update_abi {
        return abi::update(workspace);
    }
    let checks: [Check; 10] = [
        ("format", format),
        ("circles of imports", circles::check),
        ("unused dependencies", unused::check),
        ("released image", image::check),
        ("clippy", clippy),
        ("rustdoc", rustdoc),
        ("cargo deny", deny),
        ("map ABI", abi::check),
        ("programs' stack", stack::check),
        ("chart and manifest", chart::check),
    ];
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()));
    if let Some(part) = wanted.iter().find(|part| !checks.iter().any(|(name, _)| name.contains(part.as_str()))) {
        let names: Vec<&str> = checks.iter().map(|(name, _)| *name).collect();
        bail!("no check is called {part:?}; there are: {}", names.join(", "));
    }
    let mut failed = Vec::new();
    for (name, check) in checks.into_iter().filter(|(name, _)| is_wanted(name)) {
        if let Err(error) = check(workspace) {
            eprintln!("{name}: {error:#}");
            failed.push(name);
        }
    }
    let mut unchecked = None;
    if wanted.is_empty() {
        unchecked = advisories::check(workspace).unwrap_or_else(|error| {
            eprintln!("advisories: {error:#}");
            failed.push("advisories");
            None
        });
    }
    times::print();
    if !failed.is_empty() {
        bail!("lint: {} failed; what they found stands above", failed.join(", "));
    }
    let told = if wanted.is_empty() { "every check" } else { "what was asked" };
    println!("lint: {told} has nothing to say");
    // Last, so that nobody overlooks it.
    if let Some(why) = unchecked {
        println!("lint: NOT CHECKED: advisories about dependencies: {why}");
    }
    Ok(())
}

fn format(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    let toolchain = toolchain::formatter();
    match &toolchain {
        // Its options on imports are nightly's.
        Some(nightly) => {
            cargo = std::process::Command::new("cargo");
            cargo.current_dir(&workspace.root).arg(format!("+{nightly}"));
        }
        None => println!("NOT CHECKED: how imports are grouped, for want of a nightly rustfmt"),
    }
    let mends = toolchain.map_or_else(|| "cargo fmt --all".to_owned(), |nightly| format!("cargo +{nightly} fmt --all"));
    step("cargo fmt --check", cargo.args(["fmt", "--all", "--check"])).with_context(|| format!("`{mends}` mends it"))
}

fn rustdoc(workspace: &Workspace) -> Result<()> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["doc", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "--deny warnings --allow rustdoc::private_intra_doc_links");
    step("rustdoc", &mut cargo)
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
