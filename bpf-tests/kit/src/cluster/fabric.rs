//! The network between machines: a bridge in a namespace of its own, and the control plane's namespace as a host on it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use super::process::{run, words};

/// What keeps the names of one cluster's namespaces and control groups apart from another's on this machine: its folder,
/// digested.
#[must_use]
pub fn tag(folder: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    folder.hash(&mut hasher);
    format!("{:06x}", hasher.finish() & 0xff_ffff)
}

/// The network of a cluster, by its [`tag`].
#[derive(Debug, Clone)]
pub struct Fabric(pub String);

impl Fabric {
    /// The namespace of the bridge.
    fn bridge(&self) -> String {
        format!("ferrule-fabric-{}", self.0)
    }

    /// The namespace of the control plane.
    #[must_use]
    pub fn control(&self) -> String {
        format!("ferrule-control-{}", self.0)
    }

    /// The path of that.
    #[must_use]
    pub fn control_path(&self) -> PathBuf {
        Path::new("/run/netns").join(self.control())
    }

    /// Makes bridge and control plane's host; nothing where they are there.
    ///
    /// # Errors
    /// Where a command fails.
    pub fn ensure(&self, api_server: &str, v6: &str) -> Result<()> {
        if self.control_path().exists() {
            return Ok(());
        }
        let bridge = self.bridge();
        for line in [
            format!("ip netns add {bridge}"),
            format!("ip -n {bridge} link add fabric type bridge"),
            format!("ip -n {bridge} link set fabric up"),
            format!("ip netns add {}", self.control()),
        ] {
            run(&mut words(&line))?;
        }
        self.join("control", &self.control_path(), [api_server, v6])
    }

    /// Plugs a namespace in: its `eth0`, with these addresses.
    ///
    /// # Errors
    /// Where a command fails.
    pub fn join(&self, name: &str, netns: &Path, [v4, v6]: [&str; 2]) -> Result<()> {
        let (bridge, target) = (self.bridge(), netns.display());
        // Of a machine that was switched off, whose namespace takes a moment to go.
        let _ = run(&mut words(&format!("ip -n {bridge} link del p-{name}")));
        run(&mut words(&format!("ip -n {bridge} link add p-{name} type veth peer name eth0 netns {target}")))?;
        run(&mut words(&format!("ip -n {bridge} link set p-{name} master fabric up")))?;
        for line in [
            "ip link set lo up".to_owned(),
            format!("ip addr add {v4}/24 dev eth0"),
            format!("ip addr add {v6}/64 dev eth0 nodad"),
            "ip link set eth0 up".to_owned(),
        ] {
            run(&mut within(netns, &line))?;
        }
        Ok(())
    }

    /// Removes all of it.
    pub fn remove(&self) {
        for name in [self.control(), self.bridge()] {
            // One that is not there is fine.
            let _ = run(&mut words(&format!("ip netns del {name}")));
        }
    }
}

/// A line of words in a network namespace.
#[must_use]
pub fn within(netns: &Path, line: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display())).args(line.split_whitespace());
    command
}
