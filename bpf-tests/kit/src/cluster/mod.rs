//! A real Kubernetes cluster on one machine: etcd, the control plane and nodes with containerd and kubelet, as namespaces.
//!
//! ```text
//!   ferrule-control (a network namespace): etcd, API server, controllers, scheduler; also a host outside the cluster
//!        │
//!   ferrule-fabric ── a bridge ──┬── n1: a machine (all namespaces, control groups, mounts of its own): containerd, kubelet
//!                                └── n2 …
//! ```
//! It outlives the program that started it: what runs stands in files of its folder. Nodes are not ready until a CNI
//! configuration is there, which is Ferrule's part. Everything needs root.

pub mod archive;
pub mod control;
mod etcd;
mod fabric;
pub mod images;
pub mod install;
pub mod machine;
pub mod node;
pub mod other_version;
pub mod own_image;
mod pki;
mod places;
pub mod process;
pub mod settings;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
pub use control::{Component, Control};
pub use fabric::Fabric;
pub use node::Node;
use places::path;
pub use places::programs;
use process::{run, wait};

/// A cluster, which may be there or not.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its state.
    pub folder: PathBuf,
    /// The control plane.
    pub control: Control,
}

impl Cluster {
    /// In a folder, with Kubernetes' programs from another.
    #[must_use]
    pub fn at(folder: PathBuf, programs: PathBuf) -> Self {
        let fabric = Fabric(fabric::tag(&folder));
        let control = Control { fabric, programs, pki: folder.join("pki"), folder: folder.join("control") };
        Self { folder, control }
    }

    /// Where `cargo xtask cluster` has it: `FERRULE_CLUSTER` and `FERRULE_KUBERNETES`.
    ///
    /// # Errors
    /// Where they are not set.
    pub fn from_env() -> Result<Self> {
        Ok(Self::at(path("FERRULE_CLUSTER")?, programs()?))
    }

    /// Makes the certificates that are missing.
    ///
    /// # Errors
    /// Where openssl fails.
    pub fn certify(&self) -> Result<()> {
        pki::ensure(&self.control.pki)
    }

    /// Starts what does not run, so that there are `nodes` nodes, and waits until the API server knows them.
    ///
    /// # Errors
    /// Where something does not start.
    pub fn up(&self, nodes: u8) -> Result<()> {
        if !(1..=pki::NODES).contains(&nodes) {
            bail!("--nodes: {nodes} is not between 1 and {}", pki::NODES);
        }
        self.certify()?;
        if !self.control.is_running() && self.nodes().is_empty() {
            // Of a cluster whose processes were ended from outside.
            self.control.fabric.remove();
        }
        self.control.ensure()?;
        let images = self.images()?;
        let started: Vec<Result<()>> = thread::scope(|scope| {
            let images = &images;
            let nodes: Vec<_> = (1..=nodes).map(|number| self.node(number)).collect();
            let threads: Vec<_> = nodes.into_iter().map(|node| scope.spawn(move || node.ensure(images))).collect();
            let panicked = |_| Err(anyhow::anyhow!("a node's thread panicked"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
        });
        started.into_iter().collect::<Result<Vec<()>>>()?;
        wait("the API server knows the nodes", Duration::from_secs(60), || {
            let known = self.kubectl(&["get", "nodes", "-o", "name"])?.lines().count();
            if known >= usize::from(nodes) { Ok(()) } else { bail!("{known} of {nodes}") }
        })?;
        self.route_pods()
    }

    /// Starts one more node, and waits until the API server knows it.
    ///
    /// # Errors
    /// Where something does not start.
    pub fn join(&self, node: &Node) -> Result<()> {
        node.ensure(&self.images()?)?;
        wait("the API server knows the node", Duration::from_secs(60), || {
            self.kubectl(&["get", "node", node.name(), "-o", "name"]).map(drop)
        })?;
        self.route_pods()
    }

    /// Leads the control plane's host to pods, as a router of the underlay does where pods' addresses are routed: pods ask
    /// the API server from their own addresses.
    ///
    /// # Errors
    /// Where nodes get no pod CIDRs, or a route is refused.
    pub fn route_pods(&self) -> Result<()> {
        for node in self.nodes() {
            let cidrs = wait(&format!("{} has pod CIDRs", node.name()), Duration::from_secs(60), || {
                let path = "jsonpath={.spec.podCIDRs[*]}";
                let text = self.kubectl(&["get", "node", node.name(), "-o", path])?;
                if text.contains(' ') { Ok(text) } else { bail!("{text:?}") }
            })?;
            for cidr in cidrs.split_whitespace() {
                let [v4, v6] = node.internal_ips();
                let via = if cidr.contains(':') { v6 } else { v4 };
                run(&mut fabric::within(
                    &self.control.fabric.control_path(),
                    &format!("ip route replace {cidr} via {via}"),
                ))?;
            }
        }
        Ok(())
    }

    /// A node by its number from 1.
    #[must_use]
    pub fn node(&self, number: u8) -> Node {
        Node::new(number, self.folder.join(format!("nodes/n{number}")), self.control.clone())
    }

    /// The nodes that run.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        (1..=pki::NODES).map(|number| self.node(number)).filter(|node| node.machine.is_up()).collect()
    }

    /// The folder of images' archives, which every node gets when it is started.
    #[must_use]
    pub fn images_folder(&self) -> PathBuf {
        self.folder.join("images")
    }

    fn images(&self) -> Result<Vec<PathBuf>> {
        let folder = self.images_folder();
        images::ensure(&folder, &self.control.programs)?;
        let files = fs::read_dir(&folder)?.flatten().map(|entry| entry.path());
        Ok(files.filter(|path| path.extension().is_some_and(|ending| ending == "tar")).collect())
    }

    /// Gives an image's archive to every node, and to those to come.
    ///
    /// # Errors
    /// Where a node's containerd refuses it.
    pub fn load(&self, archive: &Path) -> Result<()> {
        let folder = self.images_folder();
        fs::create_dir_all(&folder)?;
        let kept = folder.join(archive.file_name().context("an archive has a name")?);
        if kept != archive {
            fs::copy(archive, &kept).with_context(|| archive.display().to_string())?;
        }
        self.nodes().iter().try_for_each(|node| node.load(&kept))
    }

    /// `kubectl` as the administrator: its output.
    ///
    /// # Errors
    /// Where it fails: what it printed.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        run(self.control.kubectl().args(arguments))
    }

    /// `kubectl` that prints for itself.
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        self.control.kubectl()
    }

    /// Applies a manifest.
    ///
    /// # Errors
    /// Where the API server refuses it.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), manifest)?;
        run(self.control.kubectl().args(["apply", "-f"]).arg(file.path()))
    }

    /// Ends and removes all of it; what `bin` holds stays.
    ///
    /// # Errors
    /// Where something does not go.
    pub fn down(&self) -> Result<()> {
        for number in 1..=pki::NODES {
            self.node(number).machine.remove()?;
        }
        self.control.remove()?;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
