//! A node's agent, as a process.

use std::{
    fs::File,
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Netns;

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    process: Child,
    log: PathBuf,
    keep: bool,
}

/// The file with its process id, in a node's folder.
const PID: &str = "agent.pid";

/// How long an agent may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(15);

impl Agent {
    /// Starts one in a node's namespace, and waits until it says that the node is ready. `folder` takes its log.
    ///
    /// # Errors
    /// Where it ends or is not ready in time: the end of its log.
    pub fn start(netns: &Netns, arguments: &[String], folder: &Path) -> Result<Self> {
        let (log, notify) = (folder.join("agent.log"), folder.join("notify.sock"));
        // Left by a former agent.
        let _ = std::fs::remove_file(&notify);
        let readiness = UnixDatagram::bind(&notify).with_context(|| notify.display().to_string())?;
        readiness.set_read_timeout(Some(Duration::from_millis(100)))?;
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = netns.command(super::binary("ferrule-agent")?);
        command.arg("run").args(arguments).env("NOTIFY_SOCKET", &notify).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let process = command.spawn().context("the agent cannot be started")?;
        std::fs::write(folder.join(PID), process.id().to_string())?;
        let mut agent = Self { process, log, keep: false };
        agent.wait(&readiness)?;
        Ok(agent)
    }

    fn wait(&mut self, readiness: &UnixDatagram) -> Result<()> {
        let (start, limit) = (Instant::now(), super::patience(PATIENCE));
        let mut message = [0; 256];
        while start.elapsed() < limit {
            if let Ok(length) = readiness.recv(&mut message)
                && message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
            {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the agent ended ({status}); its log:\n{}", self.log_end());
            }
        }
        bail!("the agent was not ready after {} s; its log:\n{}", limit.as_secs(), self.log_end())
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Sends SIGKILL and waits for its end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(mut self) -> Result<()> {
        Ok(self.end(Signal::SIGKILL)?)
    }

    /// Sends SIGTERM and waits for its end.
    ///
    /// # Errors
    /// Where it does not end well.
    pub fn terminate(mut self) -> Result<()> {
        self.end(Signal::SIGTERM)?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the agent ended with {status} after SIGTERM; its log:\n{}", self.log_end());
        }
        Ok(())
    }

    /// Leaves it running when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    fn end(&mut self, signal: Signal) -> std::io::Result<()> {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal)?;
        self.process.wait().map(drop)
    }

    /// Ends the agents of a cluster that was kept, or whose test was killed; `folder` is the cluster's.
    pub fn end_left(folder: &Path) {
        for node in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Some(process) = left(&node.path()) else { continue };
            // It may have ended meanwhile.
            let _ = kill(process, Signal::SIGKILL);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if !self.keep && matches!(self.process.try_wait(), Ok(None)) {
            // It ended meanwhile, or now.
            let _ = self.end(Signal::SIGKILL);
        }
    }
}

/// The agent that a node's folder names, where it is still that process.
fn left(folder: &Path) -> Option<Pid> {
    let process: i32 = std::fs::read_to_string(folder.join(PID)).ok()?.parse().ok()?;
    let command = std::fs::read(format!("/proc/{process}/cmdline")).ok()?;
    String::from_utf8_lossy(&command).contains(folder.to_str()?).then(|| Pid::from_raw(process))
}
