//! The bench: built as releases are, run as root; a whole run's figures go into docs/.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use clap::{Args, builder::PossibleValuesParser};

use crate::{arch::Arch, build, cluster, privilege, setup, workspace::Workspace};

/// What the bench is asked for.
#[derive(Debug, Args)]
pub struct Options {
    /// Write every figure as a row of JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many rounds, at least 12; with --quick at least 1 [default: 60, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// These scenarios only; docs/performance.md stays as it is
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO,…", value_parser = PossibleValuesParser::new(SCENARIOS))]
    only: Vec<String>,
    /// Short, to see that it runs: the figures judge nothing; docs/performance.md stays as it is
    #[arg(long)]
    quick: bool,
}

/// `Scenario` of the bench, which is not built yet when options are read.
const SCENARIOS: [&str; 10] =
    ["same-node", "cross-node", "services", "cni", "programs", "memory", "scale", "policy", KUBERNETES, CLUSTER];
/// Needs Kubernetes' own programs.
const KUBERNETES: &str = "kubernetes";
/// Needs a cluster.
const CLUSTER: &str = "cluster";

/// As many rounds as an interval needs.
const LEAST_ROUNDS: u16 = 12;

/// What is measured, and what measures.
const BINARIES: [&str; 4] = ["ferrule-agent", "ferrule-cni", "ferrule", "bench"];

/// Between these lines of docs/performance.md stands the last run.
const BEGIN: &str = "<!-- last run: begin; written by `cargo xtask bench` -->";
const END: &str = "<!-- last run: end -->";

/// Builds and runs it.
///
/// # Errors
/// Where an option cannot be used, something is missing, or something cannot be measured. A missed target is no error.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    options.check()?;
    let privilege = privilege::root("make network namespaces and load eBPF programs")?;
    setup::bench(workspace)?;
    let wants = |scenario: &str| options.only.is_empty() || options.only.iter().any(|name| name == scenario);
    let with_cluster = wants(CLUSTER);
    if with_cluster || wants(KUBERNETES) {
        cluster::prepare(workspace)?;
    }
    let binaries = build::statically(workspace, &BINARIES, Arch::host())?;
    let report = workspace.target.join("bench");
    let mut bench = privilege.command(binaries.join("bench"));
    bench
        .env("FERRULE_BIN_DIR", &binaries)
        .env("FERRULE_EBPF_DIR", workspace.ebpf())
        .envs(cluster::environment(workspace))
        .arg("--report")
        .arg(&report)
        .args(options.arguments());
    // The bench starts its cluster itself, when it comes to it: an idle one would disturb what is measured before.
    if with_cluster {
        bench.env("FERRULE_IMAGE", cluster::released_image(workspace)?);
    }
    let status = bench.status().context("the bench cannot be started")?;
    if !status.success() {
        bail!("the bench failed ({status}); what it printed above says where");
    }
    if options.quick || !options.only.is_empty() {
        println!("docs/performance.md stays as it is: only a whole run goes there");
        return Ok(());
    }
    publish(workspace, &report)
}

impl Options {
    /// Before anything takes its time.
    fn check(&self) -> Result<()> {
        if let Some(rounds) = self.rounds
            && rounds < LEAST_ROUNDS
            && !self.quick
        {
            bail!("--rounds {rounds}: fewer than {LEAST_ROUNDS} give no interval; raise it, or take --quick for a try");
        }
        let Some(file) = &self.json else { return Ok(()) };
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("--json {}: there is no folder {}; make it first", file.display(), folder.display());
        }
        if file.is_dir() {
            bail!("--json {}: that is a folder; name a file", file.display());
        }
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let values = [
            ("--json", self.json.as_ref().map(|file| file.display().to_string())),
            ("--rounds", self.rounds.map(|rounds| rounds.to_string())),
            ("--only", (!self.only.is_empty()).then(|| self.only.join(","))),
        ];
        for (flag, value) in values {
            arguments.extend(value.map(|value| [flag.to_owned(), value]).into_iter().flatten());
        }
        arguments.extend(self.quick.then(|| "--quick".to_owned()));
        arguments
    }
}

/// Puts a run into docs/performance.md, and its plot beside it.
fn publish(workspace: &Workspace, report: &Path) -> Result<()> {
    let read = |path: &Path| fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()));
    let docs = workspace.root.join("docs");
    let page = docs.join("performance.md");
    let text = between(&read(&page)?, &read(&report.join("performance.md"))?)
        .with_context(|| format!("{} lacks the line {BEGIN} or {END}", page.display()))?;
    for (path, text) in [(page, text), (docs.join("performance.svg"), read(&report.join("performance.svg"))?)] {
        fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        println!("{} holds this run", path.display());
    }
    Ok(())
}

/// The page with `run` in the place of what stood between the marks.
fn between(page: &str, run: &str) -> Option<String> {
    let (head, rest) = page.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}\n{}\n{END}{tail}", run.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_replaces_the_last_one_and_leaves_the_rest() {
        let page = format!("# How\nto read it\n{BEGIN}\nold\n{END}\nthe end\n");
        let new = between(&page, "new\n").unwrap();
        assert_eq!(new, format!("# How\nto read it\n{BEGIN}\nnew\n{END}\nthe end\n"));
        assert_eq!(between(&new, "new\n").unwrap(), new);
        assert_eq!(between("no marks", "new"), None);
    }
}
