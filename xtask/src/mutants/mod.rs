//! Whether tests would notice: rules are broken one at a time, and some test has to fail each time.
//!
//! ```text
//!   list ─▶ a copy of the sources ─▶ break a rule ─┬─ compiler: the model's own tests
//!                                                  └─ programs: build ─▶ they load ─▶ differential, packet tests, fuzz
//! ```

mod list;
mod tree;

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use list::Mutant;
use tree::Tree;

use crate::{
    arch::Arch, ebpf, kernels::Binaries, privilege, privilege::Privilege, setup, step::step, test::Summary,
    workspace::Workspace,
};

/// Lists of mutants, from the repository's root: of the policy compiler, and of the programs.
const LISTS: [&str; 2] = ["xtask/mutants/compiler.txt", "xtask/mutants/programs.txt"];

/// Which are tried.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Those alone whose file or rule holds this text
    part: Option<String>,
    /// Those alone that CI tries
    #[arg(long)]
    sample: bool,
}

/// What became of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// A test failed.
    Killed,
    /// None did.
    Survived,
}

/// Tries them. The last line is the sum: `N killed, N survived`.
///
/// # Errors
/// Where one survives, or cannot be tried: its text is not found once, or it does not compile or load.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let survivors = survivors(workspace, options)?;
    if !survivors.is_empty() {
        bail!("no test noticed: {}; add one", survivors.join("; "));
    }
    Ok(())
}

/// The sample, as tests of a tier.
///
/// # Errors
/// As [`run`], but for survivors, which are failed tests.
pub fn test(workspace: &Workspace) -> Result<Summary> {
    let options = Options { sample: true, ..Options::default() };
    let all = u32::try_from(wanted(workspace, &options)?.len())?;
    let failed = u32::try_from(survivors(workspace, &options)?.len())?;
    Ok(Summary { passed: all - failed, failed, succeeded: failed == 0 })
}

fn wanted(workspace: &Workspace, options: &Options) -> Result<Vec<Mutant>> {
    let mut all = Vec::new();
    for path in LISTS {
        all.extend(list::read(&workspace.root.join(path))?);
    }
    let part = options.part.as_deref().unwrap_or_default();
    all.retain(|one| (one.file.contains(part) || one.rule.contains(part)) && (one.sample || !options.sample));
    ensure!(!all.is_empty(), "no mutant's file or rule holds {part:?}; they stand in {}", LISTS.join(" and "));
    Ok(all)
}

/// The rules that may be broken without a test that fails.
fn survivors(workspace: &Workspace, options: &Options) -> Result<Vec<String>> {
    let mutants = wanted(workspace, options)?;
    let privilege = privilege::root("load eBPF programs")?;
    setup::building(workspace)?;
    let tree = Tree::of(workspace)?;
    // All of them, before anything takes its time.
    for mutant in &mutants {
        mutant.apply(&tree.read(&mutant.file)?)?;
    }
    ebpf::build(workspace)?;
    let binaries = Binaries::build(workspace, Arch::host())?;
    let bench = Bench { tree, binaries, privilege };
    let mut survivors = Vec::new();
    for (at, mutant) in mutants.iter().enumerate() {
        let started = Instant::now();
        let fate = bench.fate(mutant)?;
        let (number, of, seconds) = (at + 1, mutants.len(), started.elapsed().as_secs());
        println!("{number}/{of} {fate:?} in {seconds} s: {}: {}", mutant.file, mutant.rule);
        if fate == Fate::Survived {
            survivors.push(format!("{}: {}", mutant.file, mutant.rule));
        }
    }
    println!("{} killed, {} survived", mutants.len() - survivors.len(), survivors.len());
    Ok(survivors)
}

/// Where mutants are tried.
struct Bench {
    tree: Tree,
    /// Of the sources as they are: what loads the programs does not change with them.
    binaries: Binaries,
    privilege: Privilege,
}

impl Bench {
    fn fate(&self, mutant: &Mutant) -> Result<Fate> {
        let whole = self.tree.read(&mutant.file)?;
        self.tree.write(&mutant.file, &mutant.apply(&whole)?)?;
        let fate = if mutant.file.starts_with("ebpf/") { self.of_program() } else { self.of_compiler() };
        // Also after an error: the next one finds the sources whole.
        self.tree.write(&mutant.file, &whole)?;
        fate.with_context(|| format!("the mutant \"{}\" of {} cannot be tried", mutant.rule, mutant.file))
    }

    fn of_compiler(&self) -> Result<Fate> {
        let workspace = &self.tree.workspace;
        let model = |command: &str| {
            let mut cargo = workspace.cargo();
            cargo.args([command, "--package", "ferrule-model", "--lib", "--target-dir"]).arg(&workspace.target);
            // A run that is broken off leaves nothing half.
            cargo.env("CARGO_INCREMENTAL", "0");
            cargo
        };
        step("build the model's tests", model("test").arg("--no-run"))?;
        fails(model("test").args(["--quiet", "--", "--test-threads", "2"]))
    }

    fn of_program(&self) -> Result<Fate> {
        ebpf::build(&self.tree.workspace)?;
        let loads = self.test("packets", &["loads::"])?;
        ensure!(loads == Fate::Survived, "the kernel does not load it");
        let mut differential = self.command("differential")?;
        if fails(differential.args(["--packets", "5000", "--seed", "1"]))? == Fate::Killed {
            return Ok(Fate::Killed);
        }
        if self.test("packets", &[])? == Fate::Killed {
            return Ok(Fate::Killed);
        }
        self.test("fuzz_packets", &[])
    }

    fn test(&self, binary: &str, arguments: &[&str]) -> Result<Fate> {
        fails(self.command(binary)?.args(["--test-threads", "2"]).args(arguments))
    }

    fn command(&self, binary: &str) -> Result<Command> {
        let mut command = self.privilege.command(self.binaries.get(binary)?);
        command.env("FERRULE_EBPF_DIR", self.tree.workspace.ebpf());
        Ok(command)
    }
}

fn fails(command: &mut Command) -> Result<Fate> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.context("a test cannot be started")?;
    Ok(if status.success() { Fate::Survived } else { Fate::Killed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutants_text_is_there_once() {
        let workspace = Workspace::find().unwrap();
        for path in LISTS {
            let mutants = list::read(&workspace.root.join(path)).unwrap();
            assert!(mutants.len() >= 15, "{path} has {} mutants", mutants.len());
            assert!(mutants.iter().any(|mutant| mutant.sample), "{path} has no sample");
            let text = |file: &str| std::fs::read_to_string(workspace.root.join(file)).unwrap();
            let wrong = mutants.iter().filter_map(|mutant| mutant.apply(&text(&mutant.file)).err());
            let wrong: Vec<String> = wrong.map(|error| error.to_string()).collect();
            assert!(wrong.is_empty(), "{path}:\n{}", wrong.join("\n"));
        }
    }
}
