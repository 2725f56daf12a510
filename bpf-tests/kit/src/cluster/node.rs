//! A node: a machine with containerd, a kubelet and images, plugged into the network.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use anyhow::{Context, Result};

use super::{
    control::Control,
    machine::Machine,
    process::running,
    settings::{self, API_SERVER, OUTSIDE_V6},
};

/// The CNI project's plugins that a node has besides.
const PLUGINS: [&str; 2] = ["loopback", "portmap"];

/// The file of a node's InternalIPs that are not those of its number.
const INTERNAL_IPS: &str = "internal-ips";

/// A node, which may be there or not.
#[derive(Debug, Clone)]
pub struct Node {
    /// From 1.
    pub number: u8,
    /// What it runs on.
    pub machine: Machine,
    control: Control,
}

impl Node {
    pub(super) fn new(number: u8, folder: PathBuf, control: Control) -> Self {
        Self { number, machine: Machine::new(format!("n{number}"), folder, &control.fabric), control }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// Boots it where it does not run, and starts its kubelet; `images` are archives that its containerd gets.
    ///
    /// # Errors
    /// Where something does not start.
    pub fn ensure(&self, images: &[PathBuf]) -> Result<()> {
        if !self.machine.is_up() {
            self.machine.boot()?;
            let [v4, v6] = self.internal_ips();
            self.control.fabric.join(self.name(), &self.machine.netns()?, [&v4, &v6])?;
            self.default_routes()?;
            self.plugins()?;
        }
        self.machine.await_containerd()?;
        images.iter().try_for_each(|image| self.load(image))?;
        self.start_kubelet()
    }

    fn default_routes(&self) -> Result<()> {
        self.machine.run(&format!("ip route replace default via {API_SERVER}"))?;
        self.machine.run(&format!("ip -6 route replace default via {OUTSIDE_V6}")).map(drop)
    }

    /// Its InternalIPs, IPv4 first: those of its number, or what it was given since.
    #[must_use]
    pub fn internal_ips(&self) -> [String; 2] {
        let given = fs::read_to_string(self.machine.folder.join(INTERNAL_IPS)).unwrap_or_default();
        match given.split_once(' ') {
            Some((v4, v6)) => [v4.into(), v6.into()],
            None => settings::internal_ips(self.number),
        }
    }

    /// Gives it other InternalIPs, IPv4 first; its kubelet is started again with them, its pods go on.
    ///
    /// # Errors
    /// Where an address is refused, or the kubelet does not go.
    pub fn renumber(&self, [v4, v6]: [&str; 2]) -> Result<()> {
        let [old_v4, old_v6] = self.internal_ips();
        self.kill_kubelet()?;
        // The first of a prefix takes the others with it when it goes.
        for line in [
            format!("ip addr del {old_v4}/24 dev eth0"),
            format!("ip addr add {v4}/24 dev eth0"),
            format!("ip addr add {v6}/64 dev eth0 nodad"),
            format!("ip addr del {old_v6}/64 dev eth0"),
        ] {
            self.machine.run(&line)?;
        }
        self.default_routes()?;
        fs::write(self.machine.folder.join(INTERNAL_IPS), format!("{v4} {v6}"))?;
        self.start_kubelet()
    }

    /// Switches it off and on again: what it had on disk is there, nothing else.
    ///
    /// # Errors
    /// Where something does not start.
    pub fn reboot(&self) -> Result<()> {
        self.machine.halt()?;
        self.ensure(&[])
    }

    /// Imports an image's archive.
    ///
    /// # Errors
    /// Where containerd refuses it.
    pub fn load(&self, image: &std::path::Path) -> Result<()> {
        self.machine.ctr(&format!("images import --all-platforms {}", image.display())).map(drop)
    }

    fn plugins(&self) -> Result<()> {
        let folder = self.machine.folder.join("opt/cni/bin");
        fs::create_dir_all(&folder)?;
        for name in PLUGINS {
            let from = PathBuf::from("/usr/lib/cni").join(name);
            fs::copy(&from, folder.join(name)).with_context(|| from.display().to_string())?;
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }

    /// Starts its kubelet where it does not run.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_kubelet(&self) -> Result<()> {
        if running(&self.machine.folder.join("kubelet.pid")).is_some() {
            return Ok(());
        }
        let config = self.machine.folder.join("kubelet.yaml");
        fs::write(&config, settings::kubelet(&self.machine.group, &self.control.pki.join("ca.crt")))?;
        let [v4, v6] = self.internal_ips();
        let arguments = [
            format!("--config={}", config.display()),
            format!("--kubeconfig={}", self.control.kubeconfig(self.name()).display()),
            "--root-dir=/var/lib/kubelet".into(),
            format!("--hostname-override={}", self.name()),
            format!("--node-ip={v4},{v6}"),
        ];
        let program = self.control.programs.join("kubelet").display().to_string();
        self.machine.start("kubelet", &program, &arguments)
    }

    /// Kills its kubelet; pods go on.
    ///
    /// # Errors
    /// Where it does not go.
    pub fn kill_kubelet(&self) -> Result<()> {
        self.machine.end("kubelet")
    }

    /// Kills containerd and starts it again; containers go on.
    ///
    /// # Errors
    /// Where it does not come back.
    pub fn restart_containerd(&self) -> Result<()> {
        self.machine.run("pkill -9 -x containerd")?;
        let config = format!("--config={}", self.machine.folder.join("containerd.toml").display());
        self.machine.start("containerd", "containerd", &[config])?;
        self.machine.await_containerd()
    }

    /// Starts kube-proxy on it.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start_proxy(&self, mode: &str) -> Result<()> {
        let arguments = [
            format!("--kubeconfig={}", self.control.kubeconfig("admin").display()),
            format!("--hostname-override={}", self.name()),
            format!("--proxy-mode={mode}"),
            format!("--cluster-cidr={}", settings::POD_CIDRS),
            "--conntrack-max-per-core=0".into(),
            "--conntrack-tcp-timeout-established=0".into(),
            "--conntrack-tcp-timeout-close-wait=0".into(),
        ];
        let program = self.control.programs.join("kube-proxy").display().to_string();
        self.machine.start("kube-proxy", &program, &arguments)
    }

    /// Ends kube-proxy; its rules stay.
    ///
    /// # Errors
    /// Where it does not go.
    pub fn end_proxy(&self) -> Result<()> {
        self.machine.end("kube-proxy")
    }

    /// Removes the rules that kube-proxy left, of whichever of its modes.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn clean_proxy(&self) -> Result<()> {
        self.machine.run(&format!("{} --cleanup", self.control.programs.join("kube-proxy").display())).map(drop)
    }

    /// What `ferrule` says there.
    ///
    /// # Errors
    /// Where there is no agent, or it refuses.
    pub fn ferrule(&self, line: &str) -> Result<String> {
        self.machine.run(&format!("{} {line}", super::places::binaries()?.join("ferrule").display()))
    }
}
