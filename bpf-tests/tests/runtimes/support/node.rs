//! A node: a machine with containerd and the agent, which can be killed and started again.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{
    cri::{
        Cri,
        message::{LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, PortMapping},
    },
    machine::{Machine, unified_group},
    programs,
    sandbox::Sandbox,
    settings,
    tool::{wait, words},
    underlay::Underlay,
};

/// How long anything may take to start.
pub const START: Duration = Duration::from_secs(20);

/// A node.
pub struct Node {
    /// `n1` or `n2`.
    pub name: String,
    /// What it runs on.
    pub machine: Machine,
    /// Its containerd.
    pub cri: Cri,
    folder: PathBuf,
    containerd: Option<Child>,
    agent: Option<Child>,
}

impl Node {
    /// Boots a machine and starts both; `pause` is the image's program, `archive` the image.
    pub fn start(number: u8, folder: &Path, cgroup: &str, pause: &Path, archive: &Path, underlay: &Underlay) -> Self {
        let (name, folder) = (format!("n{number}"), folder.join(format!("n{number}")));
        let group = format!("{cgroup}-{name}");
        settings::write(&folder.join("etc"), &unified_group(&group));
        programs::install(&programs::ours("ferrule-cni"), &folder.join("opt/cni/bin"));
        for name in ["ferrule-agent", "ferrule"] {
            programs::install(&programs::ours(name), &folder.join("opt/ferrule"));
        }
        for name in ["loopback", "portmap"] {
            programs::install(&Path::new("/usr/lib/cni").join(name), &folder.join("opt/cni/bin"));
        }
        programs::install(archive, &folder.join("opt/images"));
        fs::create_dir_all(folder.join("log/ferrule")).expect("a machine's folder can be made");
        let machine = Machine::boot(&name, &folder, pause, group);
        underlay.connect(&machine, number);
        let cri = Cri::at(&format!("/proc/{}/root/run/containerd/containerd.sock", machine.pid));
        let mut node = Self { name, machine, cri, folder, containerd: None, agent: None };
        node.start_agent();
        node.start_containerd();
        node.machine.space.tool("ctr -n k8s.io images import /opt/images/pause.tar");
        wait("the node is ready", START, || node.ready());
        wait("containerd's network is ready", START, || node.cri.network_ready());
        node
    }

    /// Starts containerd, and waits until it answers.
    pub fn start_containerd(&mut self) {
        self.containerd = Some(self.spawn(&mut words("containerd --config /etc/containerd/config.toml")));
        wait("containerd answers", START, || self.cri.version());
    }

    /// Kills containerd; its containers stay.
    pub fn kill_containerd(&mut self) {
        kill(&mut self.containerd);
    }

    /// Starts the agent, and does not wait.
    pub fn start_agent(&mut self) {
        self.agent = Some(self.spawn(&mut words("/opt/ferrule/ferrule-agent run")));
    }

    /// Kills the agent, as a crash would.
    pub fn kill_agent(&mut self) {
        kill(&mut self.agent);
    }

    /// Waits for an agent that was started to serve.
    pub fn wait_for_agent(&self) {
        wait("the agent is ready", START, || self.ready());
    }

    fn ready(&self) -> Result<(), String> {
        let status = self.ask("status")?;
        if status["ready"] == true { Ok(()) } else { Err(status.to_string()) }
    }

    /// What `ferrule -o json` says; it must say something.
    pub fn ferrule(&self, question: &str) -> Value {
        self.ask(question).unwrap_or_else(|error| panic!("ferrule {question} on {}: {error}", self.name))
    }

    fn ask(&self, question: &str) -> Result<Value, String> {
        let ask = || words(&format!("/opt/ferrule/ferrule -o json {question}")).output();
        let output = self.machine.space.run(ask).map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout).map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What a pod named `name` asks for.
    pub fn config(&self, name: &str, ports: &[(i32, i32)]) -> PodSandboxConfig {
        let port = |&(host_port, container_port): &(i32, i32)| PortMapping { container_port, host_port };
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: name.into(),
                uid: format!("uid-of-{name}"),
                namespace: "default".into(),
                attempt: 0,
            }),
            hostname: name.into(),
            port_mappings: ports.iter().map(port).collect(),
            linux: Some(LinuxPodSandboxConfig { cgroup_parent: format!("/{}", self.machine.cgroup) }),
        }
    }

    /// Runs a pod's sandbox.
    pub fn run(&self, name: &str) -> Sandbox {
        self.run_with_ports(name, &[])
    }

    /// Runs one with host ports: each the host's and the pod's.
    pub fn run_with_ports(&self, name: &str, ports: &[(i32, i32)]) -> Sandbox {
        let what = format!("RunPodSandbox of {name} on {}", self.name);
        // As a kubelet does while containerd still holds the name for one that was given up.
        let id = wait(&what, START, || match self.cri.run(self.config(name, ports)) {
            Err(error) if error.to_string().contains("is reserved for") => Err(error),
            other => Ok(other),
        });
        Sandbox::read(self, id.unwrap_or_else(|error| panic!("{what}: {error}")))
    }

    /// Stops a sandbox, which must work.
    pub fn stop(&self, sandbox: &Sandbox) {
        self.cri.stop(&sandbox.id).unwrap_or_else(|error| panic!("StopPodSandbox of {}: {error}", sandbox.id));
    }

    /// Removes a sandbox, which must work.
    pub fn remove(&self, sandbox: &Sandbox) {
        self.cri.remove(&sandbox.id).unwrap_or_else(|error| panic!("RemovePodSandbox of {}: {error}", sandbox.id));
    }

    /// That no pod has left anything: leases, endpoints, entries, links.
    pub fn is_clean(&self) {
        for list in ["ip list", "endpoint list", "map dump fr_endpoints"] {
            assert_eq!(self.ferrule(list), Value::Array(Vec::new()), "ferrule {list} on {}", self.name);
        }
        assert_eq!(self.pod_links(), Vec::<String>::new(), "links on {}", self.name);
    }

    /// The host sides of pods' links.
    pub fn pod_links(&self) -> Vec<String> {
        let listing = self.machine.space.tool("ip -o link show type veth");
        let names = listing.lines().filter_map(|line| line.split(": ").nth(1)?.split('@').next());
        names.filter(|name| *name != "eth0").map(str::to_owned).collect()
    }

    /// The plugin's log: calls of one command for one container, the oldest first.
    pub fn calls(&self, command: &str, container: &str) -> Vec<Value> {
        let log = fs::read_to_string(self.folder.join("log/ferrule/cni.log")).unwrap_or_default();
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries.filter(|entry| entry["command"] == command && entry["container_id"] == container).collect()
    }

    /// Starts a program that goes on, its output in a log of its name.
    pub fn spawn(&self, command: &mut Command) -> Child {
        let name = Path::new(command.get_program()).file_name().expect("a program has a name").to_owned();
        let path = self.folder.join("log").join(&name);
        let log = File::options().create(true).append(true).open(&path).expect("a log can be written");
        let errors = log.try_clone().expect("a file can be opened twice");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = self.machine.space.run(|| command.spawn());
        child.unwrap_or_else(|error| panic!("{} does not start: {error}", name.display()))
    }

    /// The whole state, for who reads a failed test.
    pub fn describe(&self) -> String {
        let mut text = format!("\n===== {}\n", self.name);
        for question in ["status", "endpoint list", "ip list", "node list", "metrics"] {
            let answer = self.ask(question).map_or_else(|error| error, |value| value.to_string());
            text += &format!("--- ferrule {question}\n{answer}\n");
        }
        for log in ["ferrule-agent", "ferrule/cni.log", "containerd"] {
            let whole = fs::read_to_string(self.folder.join("log").join(log)).unwrap_or_default();
            let lines: Vec<_> = whole.lines().collect();
            text += &format!("--- log of {log}\n{}\n", lines[lines.len().saturating_sub(30)..].join("\n"));
        }
        text
    }
}

/// SIGKILL, and waiting until the process has gone.
fn kill(process: &mut Option<Child>) {
    let mut child = process.take().expect("what is killed runs");
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
}

impl Drop for Node {
    fn drop(&mut self) {
        for mut child in [self.containerd.take(), self.agent.take()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
