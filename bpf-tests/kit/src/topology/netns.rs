//! Network namespaces.

use std::{
    fs::{self, File},
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};

const FOLDER: &str = "/run/netns";

/// A named network namespace, removed when dropped.
#[derive(Debug)]
pub struct Netns {
    name: String,
    path: PathBuf,
    keep: bool,
}

impl Netns {
    /// Makes one, with its loopback up.
    ///
    /// # Errors
    /// Where this is not root, or the name is taken.
    pub fn new(name: &str) -> Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!("network namespaces need root; `cargo xtask` starts this through sudo");
        }
        run(Command::new("ip").args(["netns", "add", name]))?;
        let mut netns = Self::known(name);
        netns.keep = false;
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// One that somebody else made and removes.
    #[must_use]
    pub fn known(name: &str) -> Self {
        Self::at(name, Path::new(FOLDER).join(name))
    }

    /// One that somebody else made elsewhere, such as a process's; `ip` does not know it by its name.
    #[must_use]
    pub fn at(name: &str, path: PathBuf) -> Self {
        Self { name: name.into(), path, keep: true }
    }

    /// Leaves it there when this is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file, as `CNI_NETNS` has it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// A command that runs in it, and sees the same file systems as this process: not `ip netns exec`, which mounts
    /// another `/sys` and so hides the pins.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// What `ip` says in it; words are separated by spaces.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn ip(&self, words: &str) -> Result<String> {
        run(Command::new("ip").args(["-n", &self.name]).args(words.split_whitespace()))
    }

    /// Sets a value below `/proc/sys/net`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/net/{key}");
        self.enter(|| fs::write(&path, value))?.with_context(|| path.clone())
    }

    /// The names of its links but loopback, sorted.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn links(&self) -> Result<Vec<String>> {
        let listing = self.ip("-o link show")?;
        let name = |line: &str| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned());
        let mut names: Vec<_> = listing.lines().filter_map(name).filter(|name| name != "lo").collect();
        names.sort();
        Ok(names)
    }

    /// The MAC of a link.
    ///
    /// # Errors
    /// Where there is no such link.
    pub fn mac(&self, link: &str) -> Result<[u8; 6]> {
        let listing = self.ip(&format!("-o link show dev {link}"))?;
        let mut words = listing.split_whitespace().skip_while(|word| *word != "link/ether").skip(1);
        let text = words.next().with_context(|| format!("{link} has no MAC: {listing}"))?;
        let octets: Vec<u8> = text.split(':').map(|hex| u8::from_str_radix(hex, 16)).collect::<Result<_, _>>()?;
        octets.try_into().ok().with_context(|| format!("{text} is no MAC"))
    }

    /// Runs `work` in a thread that has entered it.
    ///
    /// # Errors
    /// Where it cannot be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = File::open(self.path()).with_context(|| self.name.clone())?;
        thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(file, CloneFlags::CLONE_NEWNET)?;
                Ok(work())
            });
            match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Whether a link of it has this address.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn has(&self, address: IpAddr) -> Result<bool> {
        Ok(!self.ip(&format!("-o addr show to {address}"))?.is_empty())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.name);
        }
    }
}

/// The names of all namespaces.
pub fn names() -> Vec<String> {
    let files = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    files.filter_map(|file| file.file_name().into_string().ok()).collect()
}

/// Removes one by name, if it is there.
pub fn remove(name: &str) {
    // It complains only where there is none.
    let _ = Command::new("ip").args(["netns", "del", name]).output();
}

/// Runs a command that must succeed; its standard output.
///
/// # Errors
/// What it printed to standard error, where it fails.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} cannot be started"))?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
