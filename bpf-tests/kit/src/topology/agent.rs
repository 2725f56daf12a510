//! A node's agent, as a process.

use std::{
    fs::File,
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
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

/// What is started.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Which of the workspace's binaries.
    pub binary: &'a str,
    /// Its arguments, beyond `run`.
    pub arguments: &'a [String],
    /// The boot that it believes to be in, where that is not the machine's.
    pub boot: Option<&'a str>,
    /// How long it may take until it is ready.
    pub patience: Duration,
}

impl<'a> Launch<'a> {
    /// The agent as it ships.
    #[must_use]
    pub const fn usual(arguments: &'a [String]) -> Self {
        Self { binary: "ferrule-agent", arguments, boot: None, patience: PATIENCE }
    }

    fn command(&self, netns: &Netns, folder: &Path) -> Result<Command> {
        let binary = super::binary(self.binary)?;
        let Some(boot) = self.boot else { return Ok(netns.command(binary)) };
        let file = folder.join("boot_id");
        std::fs::write(&file, boot)?;
        let mut command = netns.command("unshare");
        // In a mount namespace of its own, and by `exec`, so that it keeps the process's id.
        let script = r#"mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@""#;
        command.args(["--mount", "--propagation", "slave", "--", "sh", "-c", script]).arg(file).arg(binary);
        Ok(command)
    }
}

/// The file with its process id, in a node's folder.
const PID: &str = "agent.pid";

/// How long an agent may take until it is ready.
const PATIENCE: Duration = Duration::from_secs(30);

impl Agent {
    /// Starts one in a node's namespace, and waits until it says that the node is ready. `folder` takes its log.
    ///
    /// # Errors
    /// Where it ends or is not ready in time: the end of its log.
    pub fn start(netns: &Netns, launch: &Launch<'_>, folder: &Path) -> Result<Self> {
        let (mut agent, readiness) = Self::launch(netns, launch, folder)?;
        agent.wait(&readiness, launch.patience)?;
        Ok(agent)
    }

    /// Starts one, which may never be ready.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(netns: &Netns, launch: &Launch<'_>, folder: &Path) -> Result<Self> {
        Self::launch(netns, launch, folder).map(|(agent, _)| agent)
    }

    fn launch(netns: &Netns, launch: &Launch<'_>, folder: &Path) -> Result<(Self, UnixDatagram)> {
        let (log, notify) = (folder.join("agent.log"), folder.join("notify.sock"));
        // Left by a former agent.
        let _ = std::fs::remove_file(&notify);
        let readiness = UnixDatagram::bind(&notify).with_context(|| notify.display().to_string())?;
        readiness.set_read_timeout(Some(Duration::from_millis(100)))?;
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = launch.command(netns, folder)?;
        command.arg("run").args(launch.arguments).env("NOTIFY_SOCKET", &notify).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let process = command.spawn().context("the agent cannot be started")?;
        std::fs::write(folder.join(PID), process.id().to_string())?;
        Ok((Self { process, log, keep: false }, readiness))
    }

    fn wait(&mut self, readiness: &UnixDatagram, limit: Duration) -> Result<()> {
        let (start, limit) = (Instant::now(), super::patience(limit));
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
