//! Whoever called may have left: no command minds.

use std::{
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use test_kit::topology::binary;

/// The writing end of a pipe that nobody reads.
fn deaf() -> Result<OwnedFd> {
    let (reads, writes) = std::io::pipe()?;
    drop(reads);
    Ok(writes.into())
}

#[test]
fn no_command_fails_or_panics_where_nobody_reads() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let folder = folder.path().to_str().unwrap_or_default();
    // Each writes more than nothing; those that fail do so for their own reason.
    let cases: [(&str, &[&str], i32); 8] = [
        ("ferrule", &["completions", "bash"], 0),
        ("ferrule", &["completions", "zsh"], 0),
        ("ferrule", &["--help"], 0),
        ("ferrule", &["--socket", "/nonexistent", "status"], 1),
        ("ferrule-agent", &["--help"], 0),
        ("ferrule-agent", &["preflight", "--json", "--node-name", "n1"], 0),
        ("ferrule-agent", &["install", "--cni-bin-dir", folder], 0),
        ("ferrule-cni", &[], 0),
    ];
    for (program, arguments, expected) in cases {
        let mut command = Command::new(binary(program)?);
        command.args(arguments).stdin(Stdio::null()).stdout(deaf()?).stderr(deaf()?);
        let status = command.status()?;
        ensure!(status.code() == Some(expected), "{program} {arguments:?}: {status}");
    }
    Ok(())
}
