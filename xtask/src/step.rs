//! Commands that take a while: what they do is said before, how long they take while they run, and what they printed
//! only when they fail.

use std::{
    io::{BufRead, BufReader, IsTerminal, Read, stderr},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::times;

/// How often a step without a terminal says that it is still at it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `command` as a step called `label`.
///
/// # Errors
/// Where it cannot be started or fails; its output goes to stderr then.
pub fn step(label: &str, command: &mut Command) -> Result<()> {
    step_reading(label, command, |_| false)
}

/// The same; `read` sees every line that the command prints, and says whether it is for nobody else.
///
/// # Errors
/// As [`step`].
pub fn step_reading(label: &str, command: &mut Command, mut read: impl FnMut(&str) -> bool) -> Result<()> {
    let progress = Progress::start(label);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", shown(command)))?;
    let (sender, lines) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|pipe| forward(pipe, sender.clone())),
        child.stderr.take().map(|pipe| forward(pipe, sender)),
    ];
    let mut output = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                progress.line(&line);
                if !read(&line) {
                    output.push(line);
                }
            }
            Err(RecvTimeoutError::Timeout) => progress.wait(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    for reader in readers.into_iter().flatten() {
        // A reader ends with its pipe and has nothing to say.
        let _ = reader.join();
    }
    let status = child.wait()?;
    progress.end(status.success());
    if !status.success() {
        for line in output {
            eprintln!("{line}");
        }
        bail!("{label}: `{}` failed ({status}); its output stands above", shown(command));
    }
    Ok(())
}

/// What a quick command prints.
///
/// # Errors
/// Where it cannot be started or fails: what it printed to standard error.
pub fn capture(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} cannot be started", shown(command)))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", shown(command), output.status, words.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as someone would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn forward(pipe: impl Read + Send + 'static, sender: Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    })
}

/// A spinner on a terminal, plain lines elsewhere.
struct Progress {
    label: String,
    start: Instant,
    told: std::cell::Cell<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    fn start(label: &str) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg:.dim}") {
                bar.set_style(style);
            }
            bar.set_prefix(label.to_owned());
            bar
        });
        if bar.is_none() {
            eprintln!("{label} …");
        }
        Self { label: label.into(), start: Instant::now(), told: Instant::now().into(), bar }
    }

    fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(line.trim().to_owned()),
            None => self.wait(),
        }
    }

    fn wait(&self) {
        match &self.bar {
            Some(bar) => bar.tick(),
            None if self.told.get().elapsed() >= PATIENCE => {
                self.told.set(Instant::now());
                eprintln!("{}: {} s …", self.label, self.start.elapsed().as_secs());
            }
            None => {}
        }
    }

    fn end(&self, success: bool) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let end = if success { "done" } else { "failed" };
        eprintln!("{}: {end} in {:.1} s", self.label, self.start.elapsed().as_secs_f32());
        times::note(&self.label, self.start.elapsed());
    }
}
