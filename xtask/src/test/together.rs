//! A test binary whose tests share one process, since they share what they load: each in one of its own takes thrice as long.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::summary::Summary;
use crate::{
    arch::Arch,
    kernels::Binaries,
    privilege::{self},
    workspace::Workspace,
};

/// How long all of its tests may take.
const LIMIT: Duration = Duration::from_secs(900);

/// Runs the tests of a binary whose names hold one of `arguments`, or all.
///
/// # Errors
/// Where it cannot be started. Failed tests are part of the summary.
pub fn run(workspace: &Workspace, binary: &str, arguments: &[String]) -> Result<Summary> {
    let binaries = Binaries::build(workspace, Arch::host())?;
    let file = binaries.get(binary)?;
    let mut command = privilege::root("load eBPF programs")?.command(file);
    command.env("FERRULE_BIN_DIR", workspace.binaries()).env("FERRULE_EBPF_DIR", workspace.ebpf());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    command.args(["--test-threads", &threads.to_string()]).args(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let output = child.stdout.take().context("its output is piped")?;
    let reader = thread::spawn(move || {
        let mut summary = None;
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            summary = read(&line).or(summary);
        }
        summary
    });
    let ended = wait(child)?;
    let summary = reader.join().unwrap_or_default();
    if !ended {
        eprintln!("{binary} did not end within {} s", LIMIT.as_secs());
    }
    // One that ended before it said how many passed has failed.
    Ok(summary.filter(|_| ended).unwrap_or(Summary { failed: 1, ..Summary::default() }))
}

/// Whether it ended by itself.
fn wait(child: &mut Child) -> Result<bool> {
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(true)
}

/// From libtest's line, such as `test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; …`.
fn read(line: &str) -> Option<Summary> {
    let (verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |what: &str| {
        let part = counts.split("; ").find_map(|part| part.strip_suffix(what))?;
        part.trim().parse::<u32>().ok()
    };
    Some(Summary { passed: count(" passed")?, failed: count(" failed")?, succeeded: verdict == "ok" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tests_say_of_themselves_is_read() {
        let line = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; finished in 1.20s";
        assert_eq!(read(line), Some(Summary { passed: 3, failed: 1, succeeded: false }));
        let line = "test result: ok. 157 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 41.84s";
        assert_eq!(read(line), Some(Summary { passed: 157, failed: 0, succeeded: true }));
        assert_eq!(read("test a ... ok"), None);
    }
}
