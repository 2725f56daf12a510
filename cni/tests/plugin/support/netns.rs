//! Network namespaces of a test's own.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A network namespace under `/run/netns`, deleted when dropped.
#[derive(Debug)]
pub struct Netns {
    pub name: String,
}

impl Netns {
    /// Makes one; `role` is part of its name.
    pub fn new(role: &str) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests make network namespaces and need root: run them as root"
        );
        let name = format!("frcni-{role}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let netns = Self { name };
        run(Command::new("ip").args(["netns", "add", &netns.name]));
        netns
    }

    pub fn path(&self) -> String {
        format!("/var/run/netns/{}", self.name)
    }

    /// A command that runs in it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// What `ip` says in it.
    pub fn ip(&self, arguments: &str) -> String {
        run(self.command("ip").args(arguments.split_whitespace()))
    }

    /// The names of its interfaces but loopback, sorted.
    pub fn links(&self) -> Vec<String> {
        let listing = self.ip("-o link show");
        let name = |line: &str| line.split(": ").nth(1).map(|name| name.split('@').next().unwrap_or(name).to_owned());
        let mut names: Vec<_> = listing.lines().filter_map(name).filter(|name| name != "lo").collect();
        names.sort();
        names
    }

    /// A setting of its own.
    pub fn sysctl(&self, name: &str) -> String {
        run(self.command("cat").arg(format!("/proc/sys/{name}"))).trim().to_owned()
    }

    pub fn set_sysctl(&self, name: &str, value: &str) {
        run(self.command("sh").args(["-c", &format!("echo {value} > /proc/sys/{name}")]));
    }

    /// Whether a ping arrives, asked at once and once.
    pub fn pings(&self, address: &str) -> bool {
        self.command("ping").args(["-c1", "-W1", address]).output().unwrap().status.success()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// Runs a command that must succeed; its stdout.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
