//! Programs of a cluster: some that are waited for, and some that go on, each with a log and a file that holds its number.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, setsid},
};

/// Runs a program that must succeed; its standard output.
///
/// # Errors
/// Where it cannot be started or fails: what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{command:?} cannot be started"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}{}", output.status, text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

/// The words of a line.
#[must_use]
pub fn words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Starts a program that outlives this one; its output goes to `log`, its number to `pid`.
///
/// # Errors
/// Where it cannot be started.
pub fn start(command: &mut Command, log: &Path, pid: &Path) -> Result<()> {
    let log = File::options().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // SAFETY: setsid is async-signal-safe, and nothing else happens between fork and exec.
    unsafe {
        command.pre_exec(|| Ok(setsid().map(drop)?));
    }
    let child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
    Ok(fs::write(pid, child.id().to_string())?)
}

/// The number that a file holds, while such a process runs.
#[must_use]
pub fn running(pid: &Path) -> Option<Pid> {
    let number: i32 = fs::read_to_string(pid).ok()?.trim().parse().ok()?;
    let pid = Pid::from_raw(number);
    // One that has ended and that nobody waits for does not run.
    let state = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    let zombie = state.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'));
    // While other threads of it are about to end, its sockets are open.
    let threads = fs::read_dir(format!("/proc/{number}/task")).map_or(0, Iterator::count);
    (!zombie || threads > 1).then_some(pid)
}

/// Ends a process and waits until it has gone; nothing where it does not run.
///
/// # Errors
/// Where it does not go.
pub fn end(pid: &Path) -> Result<()> {
    if let Some(process) = running(pid) {
        let _ = kill(process, Signal::SIGKILL);
        wait(&format!("process {process} ends"), Duration::from_secs(20), || match running(pid) {
            None => Ok(()),
            Some(_) => bail!("it still runs"),
        })?;
    }
    let _ = fs::remove_file(pid);
    Ok(())
}

/// Tries until it works.
///
/// # Errors
/// The last one when the time is up.
pub fn wait<T>(what: &str, limit: Duration, mut works: impl FnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match works() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() > end => {
                return Err(error.context(format!("{what}: not within {} s", limit.as_secs())));
            }
            Err(_) => thread::sleep(Duration::from_millis(50)),
        }
    }
}
