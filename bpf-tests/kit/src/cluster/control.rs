//! The control plane: etcd, API server, controller manager and scheduler, each of which can be killed and started again.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, bail};

use super::{
    fabric::{Fabric, within},
    process::{end, run, running, start, wait},
    settings::{self, API_SERVER, OUTSIDE_V6, POD_CIDRS, SERVICE_CIDRS},
};

/// How long anything may take to start.
const START: Duration = Duration::from_secs(90);

/// A component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// The store behind the API server.
    Etcd,
    /// The API server.
    ApiServer,
    /// The controllers: endpoints, node CIDRs, deployments.
    ControllerManager,
    /// The scheduler.
    Scheduler,
}

impl Component {
    /// All, in the order of their start.
    pub const ALL: [Self; 4] = [Self::Etcd, Self::ApiServer, Self::ControllerManager, Self::Scheduler];

    const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }
}

/// The control plane.
#[derive(Debug, Clone)]
pub struct Control {
    /// The network that it is plugged into.
    pub fabric: Fabric,
    /// Where Kubernetes' programs are.
    pub programs: PathBuf,
    /// Certificates.
    pub pki: PathBuf,
    /// Data, logs, numbers of processes.
    pub folder: PathBuf,
}

impl Control {
    /// Starts what does not run, and waits until the API server is ready.
    ///
    /// # Errors
    /// What the API server says, or its log's last lines.
    pub fn ensure(&self) -> Result<()> {
        self.connect()?;
        for component in Component::ALL {
            self.start(component)?;
            if component == Component::ApiServer {
                self.await_ready()?;
            }
        }
        Ok(())
    }

    /// Makes the network that it is plugged into, where that is not there.
    ///
    /// # Errors
    /// Where a command fails.
    pub fn connect(&self) -> Result<()> {
        self.fabric.ensure(API_SERVER, OUTSIDE_V6)
    }

    /// Whether any component runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        Component::ALL.into_iter().any(|component| running(&self.pid(component)).is_some())
    }

    /// Starts a component that does not run.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(&self, component: Component) -> Result<()> {
        self.start_with(component, &[])
    }

    /// Starts a component that does not run, with flags beside its own.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(&self, component: Component, flags: &[String]) -> Result<()> {
        if running(&self.pid(component)).is_some() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        let program = match component {
            Component::Etcd => PathBuf::from("etcd"),
            other => self.programs.join(other.name()),
        };
        let line = program.display().to_string();
        let mut command = within(&self.fabric.control_path(), &line);
        command.args(self.arguments(component)).args(flags);
        start(&mut command, &self.log(component), &self.pid(component))
    }

    /// Kills a component.
    ///
    /// # Errors
    /// Where it does not go.
    pub fn kill(&self, component: Component) -> Result<()> {
        end(&self.pid(component))
    }

    /// Waits until the API server is ready.
    ///
    /// # Errors
    /// What it says, or its log's last lines.
    pub fn await_ready(&self) -> Result<()> {
        self.await_path("the API server is ready", "/readyz")
    }

    /// Waits until the API server answers requests, ready or not.
    ///
    /// # Errors
    /// As [`Self::await_ready`].
    pub fn await_alive(&self) -> Result<()> {
        self.await_path("the API server answers", "/livez")
    }

    fn await_path(&self, what: &str, path: &str) -> Result<()> {
        wait(what, START, || {
            if running(&self.pid(Component::ApiServer)).is_none() {
                let log = fs::read_to_string(self.log(Component::ApiServer)).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                bail!("it has ended: {}", lines[lines.len().saturating_sub(5)..].join("\n"));
            }
            run(self.kubectl().args(["get", "--raw", path])).map(drop)
        })
    }

    /// `kubectl` as the administrator.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let program = self.programs.join("kubectl").display().to_string();
        let mut command = within(&self.fabric.control_path(), &program);
        command.arg(format!("--kubeconfig={}", self.pki.join("admin.kubeconfig").display()));
        command.arg(format!("--cache-dir={}", self.folder.join("kubectl").display()));
        command
    }

    /// `ferrule` on the administrator's machine, with the administrator's kubeconfig.
    ///
    /// # Errors
    /// Where it is not built.
    pub fn ferrule(&self) -> Result<Command> {
        let mut command =
            within(&self.fabric.control_path(), &super::places::binaries()?.join("ferrule").display().to_string());
        command.env("KUBECONFIG", self.kubeconfig("admin"));
        Ok(command)
    }

    /// Helm as the administrator, with everything that it writes in this cluster's folder.
    #[must_use]
    pub fn helm(&self) -> Command {
        let mut command = within(&self.fabric.control_path(), &self.programs.join("helm").display().to_string());
        command.arg("--kubeconfig").arg(self.pki.join("admin.kubeconfig"));
        for name in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(name, self.folder.join("helm"));
        }
        command
    }

    /// Ends all of it, and removes its data.
    ///
    /// # Errors
    /// Where a process does not go.
    pub fn remove(&self) -> Result<()> {
        for component in Component::ALL.into_iter().rev() {
            self.kill(component)?;
        }
        self.fabric.remove();
        let _ = fs::remove_dir_all(&self.folder);
        Ok(())
    }

    fn pid(&self, component: Component) -> PathBuf {
        self.folder.join(format!("{}.pid", component.name()))
    }

    fn log(&self, component: Component) -> PathBuf {
        self.folder.join(format!("{}.log", component.name()))
    }

    fn arguments(&self, component: Component) -> Vec<String> {
        let pki = |name: &str| self.pki.join(name).display().to_string();
        let data = |name: &str| self.folder.join(name).display().to_string();
        let admin = format!("--kubeconfig={}", pki("admin.kubeconfig"));
        match component {
            Component::Etcd => vec![
                format!("--data-dir={}", data("data")),
                "--listen-client-urls=http://127.0.0.1:2379".into(),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--unsafe-no-fsync".into(),
            ],
            Component::ApiServer => vec![
                "--etcd-servers=http://127.0.0.1:2379".into(),
                format!("--advertise-address={API_SERVER}"),
                format!("--bind-address={API_SERVER}"),
                "--secure-port=6443".into(),
                format!("--tls-cert-file={}", pki("apiserver.crt")),
                format!("--tls-private-key-file={}", pki("apiserver.key")),
                format!("--client-ca-file={}", pki("ca.crt")),
                format!("--cert-dir={}", data("certificates")),
                format!("--service-cluster-ip-range={SERVICE_CIDRS}"),
                format!("--service-account-key-file={}", pki("sa.pub")),
                format!("--service-account-signing-key-file={}", pki("sa.key")),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                "--authorization-mode=Node,RBAC".into(),
                "--allow-privileged=true".into(),
                format!("--kubelet-client-certificate={}", pki("admin.crt")),
                format!("--kubelet-client-key={}", pki("admin.key")),
                "--kubelet-preferred-address-types=InternalIP".into(),
            ],
            Component::ControllerManager => vec![
                admin,
                "--leader-elect=false".into(),
                format!("--cert-dir={}", data("certificates")),
                "--allocate-node-cidrs=true".into(),
                format!("--cluster-cidr={POD_CIDRS}"),
                "--node-cidr-mask-size-ipv4=24".into(),
                "--node-cidr-mask-size-ipv6=64".into(),
                format!("--service-cluster-ip-range={SERVICE_CIDRS}"),
                format!("--service-account-private-key-file={}", pki("sa.key")),
                format!("--root-ca-file={}", pki("ca.crt")),
                "--use-service-account-credentials=true".into(),
                // A minute without the API server says nothing about nodes, which could not be heard meanwhile.
                "--node-monitor-grace-period=120s".into(),
            ],
            Component::Scheduler => vec![admin, "--leader-elect=false".into()],
        }
    }

    /// The kubeconfig of a user: `admin`, or a node's name.
    #[must_use]
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.pki.join(format!("{user}.kubeconfig"))
    }

    /// The API server's URL.
    #[must_use]
    pub fn url(&self) -> String {
        settings::api_url()
    }
}
