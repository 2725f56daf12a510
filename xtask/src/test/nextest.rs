//! One run of nextest, passed through to the terminal and read on the way.

use std::{
    io::{BufRead, BufReader, IsTerminal, stderr},
    process::Stdio,
};

use anyhow::{Context, Result};

use super::summary::Summary;
use crate::{
    cluster,
    setup::{promtool, tools},
    workspace::Workspace,
};

/// What nextest exits with when the filter matches no test.
const NO_TESTS: i32 = 4;

/// Runs the tests that `filter` names, through sudo where they need root and this process is not.
///
/// # Errors
/// Where nextest cannot be started. Failed tests are part of the summary.
pub fn run(workspace: &Workspace, filter: &str, through_sudo: bool, arguments: &[String]) -> Result<Summary> {
    let mut nextest = tools::command(workspace, tools::NEXTEST)?;
    nextest.args(["run", "--no-fail-fast", "--no-tests", "pass", "--filterset", filter]);
    nextest.args(["--color", if stderr().is_terminal() { "always" } else { "never" }]).args(arguments);
    nextest.envs(cluster::environment(workspace));
    nextest.env("FERRULE_BIN_DIR", workspace.binaries()).env("FERRULE_EBPF_DIR", workspace.ebpf());
    if let Some(promtool) = promtool::find(workspace) {
        nextest.env("FERRULE_PROMTOOL", promtool);
    }
    if through_sudo {
        // Cargo's own way to start a test by another program; building stays with the user.
        nextest.env(runner(), "sudo -E");
    }
    let mut child = nextest.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().context("nextest cannot be started")?;
    let mut summary = None;
    if let Some(pipe) = child.stderr.take() {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            eprintln!("{line}");
            summary = Summary::read(&line).or(summary);
        }
    }
    let status = child.wait()?;
    let succeeded = status.success() || status.code() == Some(NO_TESTS);
    Ok(Summary { succeeded, ..summary.unwrap_or_default() })
}

/// The variable that names the program which starts this machine's binaries.
fn runner() -> String {
    format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", std::env::consts::ARCH.to_uppercase())
}
