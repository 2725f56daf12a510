//! Nodes: a namespace, an agent, and what they keep.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Agent, Cgroup, Invocation, Launch, Netns, Pod, Prefix, run};

/// A node of a cluster.
#[derive(Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its network namespace.
    pub netns: Netns,
    /// Its InternalIPs.
    pub addresses: Vec<IpAddr>,
    /// Its pod CIDRs.
    pub pod_cidrs: Vec<String>,
    prefix: Prefix,
    arguments: Vec<String>,
    agent: Mutex<Option<Agent>>,
    /// Goes after the agent, which may be in it.
    cgroup: Cgroup,
}

impl Node {
    /// A node in a namespace that is connected already; its agent is not started yet. `arguments` are the agent's
    /// beyond what a node of its own needs.
    ///
    /// # Errors
    /// The file system's.
    pub fn new(
        prefix: &Prefix,
        name: &str,
        netns: Netns,
        (addresses, pod_cidrs): (Vec<IpAddr>, Vec<String>),
        arguments: Vec<String>,
    ) -> Result<Self> {
        let (name, prefix) = (name.to_owned(), prefix.clone());
        let cgroup = Cgroup::new(&format!("{prefix}-{name}"))?;
        let node = Self { name, netns, addresses, pod_cidrs, prefix, arguments, agent: Mutex::default(), cgroup };
        fs::create_dir_all(node.folder()).with_context(|| node.folder().display().to_string())?;
        fs::create_dir_all(node.prefix.pins()).context("/sys/fs/bpf is no BPF file system; mount one there")?;
        Ok(node)
    }

    /// The folder of its files.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.prefix.folder().join(&self.name)
    }

    /// The agent's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder().join("agent.sock")
    }

    /// The agent's state directory.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// The folder of its pins.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.prefix.pins().join(&self.name)
    }

    /// Its cgroup: Services are translated for sockets that are opened in it.
    #[must_use]
    pub const fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The pinned maps' folder, which has the layout's version in its name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn maps(&self) -> Result<PathBuf> {
        let folders = fs::read_dir(self.pins())?.flatten().map(|entry| entry.path());
        let is_maps = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("maps-"));
        folders.into_iter().find(is_maps).with_context(|| format!("{} holds no maps", self.pins().display()))
    }

    /// Starts the agent, and waits until it is ready.
    ///
    /// # Errors
    /// Where it does not become so.
    pub fn start(&self) -> Result<()> {
        self.start_with(&[])
    }

    /// The same, with further arguments of the agent.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_with(&self, further: &[&str]) -> Result<()> {
        self.start_binary("ferrule-agent", further)
    }

    /// The same, by another of the workspace's binaries.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_binary(&self, binary: &str, further: &[&str]) -> Result<()> {
        self.launch(&Launch { binary, ..Launch::usual(&self.arguments_with(further)) })
    }

    /// The same, with an agent that believes to be in a boot of this id.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_in_boot(&self, id: &str) -> Result<()> {
        self.launch(&Launch { boot: Some(id), ..Launch::usual(&self.agent_arguments()) })
    }

    /// The same, with an agent that may take so long until it is ready.
    ///
    /// # Errors
    /// As [`Node::start`].
    pub fn start_within(&self, patience: Duration) -> Result<()> {
        self.launch(&Launch { patience, ..Launch::usual(&self.agent_arguments()) })
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<()> {
        *self.agent() = Some(Agent::start(&self.netns, launch, &self.folder())?);
        Ok(())
    }

    /// The same, without waiting until it is ready.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn_binary(&self, binary: &str) -> Result<()> {
        let arguments = self.agent_arguments();
        let launch = Launch { binary, ..Launch::usual(&arguments) };
        *self.agent() = Some(Agent::spawn(&self.netns, &launch, &self.folder())?);
        Ok(())
    }

    /// Kills the agent.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&self) -> Result<()> {
        self.take()?.kill()
    }

    /// Ends the agent by SIGTERM.
    ///
    /// # Errors
    /// Where it does not run or does not end well.
    pub fn stop(&self) -> Result<()> {
        self.take()?.terminate()
    }

    /// The agent's process.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn agent_process(&self) -> Result<u32> {
        self.agent().as_ref().map(Agent::id).with_context(|| format!("{} has no running agent", self.name))
    }

    /// What would be `/etc/cni` and `/opt/cni` of a machine of its own.
    #[must_use]
    pub fn cni(&self) -> PathBuf {
        self.folder().join("cni")
    }

    /// Runs `ferrule-agent cleanup`.
    ///
    /// # Errors
    /// What it complains about.
    pub fn cleanup(&self) -> Result<String> {
        let mut command = self.netns.command(super::binary("ferrule-agent")?);
        command.arg("cleanup").args(self.agent_arguments());
        run(command
            .arg("--cni-conf-dir")
            .arg(self.cni().join("net.d"))
            .arg("--cni-bin-dir")
            .arg(self.cni().join("bin")))
    }

    /// Connects a pod, in a new namespace.
    ///
    /// # Errors
    /// The plugin's.
    pub fn add(&self, name: &str) -> Result<Pod> {
        let netns = self.pod_netns(name)?;
        let result = self.invocation("ADD", name, &netns.path()).run(&self.netns)?;
        Pod::new(name, netns, result)
    }

    /// Connects the pod that a Pod object of this namespace and name describes, in a network namespace that is there.
    ///
    /// # Errors
    /// The plugin's.
    pub fn add_object(&self, namespace: &str, name: &str, netns: Netns) -> Result<Pod> {
        let container = format!("{namespace}-{name}");
        let mut call = self.invocation("ADD", &container, &netns.path());
        (call.namespace, call.pod) = (namespace.into(), name.into());
        let result = call.run(&self.netns)?;
        Pod::new(&container, netns, result)
    }

    /// A network namespace for a pod that is not connected yet.
    ///
    /// # Errors
    /// Where the name is taken.
    pub fn pod_netns(&self, name: &str) -> Result<Netns> {
        Netns::new(&format!("{}-{name}", self.prefix))
    }

    /// Disconnects a pod.
    ///
    /// # Errors
    /// The plugin's.
    pub fn del(&self, pod: &Pod) -> Result<()> {
        self.invocation("DEL", &pod.name, &pod.netns.path()).run(&self.netns).map(drop)
    }

    /// Checks a pod.
    ///
    /// # Errors
    /// What the plugin found.
    pub fn check(&self, pod: &Pod) -> Result<()> {
        let call = self.invocation("CHECK", &pod.name, &pod.netns.path());
        call.with("prevResult", pod.result.clone()).run(&self.netns).map(drop)
    }

    /// A call of the plugin with this node's configuration.
    #[must_use]
    pub fn invocation(&self, command: &str, container: &str, netns: &Path) -> Invocation {
        Invocation::new(command, container, netns, &self.socket())
    }

    /// What `ferrule` says as JSON; words are separated by spaces.
    ///
    /// # Errors
    /// What it complains about.
    pub fn ferrule(&self, words: &str) -> Result<Value> {
        let mut command = Command::new(super::binary("ferrule")?);
        command.arg("--socket").arg(self.socket()).args(["-o", "json"]).args(words.split_whitespace());
        let text = run(&mut command)?;
        serde_json::from_str(&text).context(text)
    }

    /// What `ferrule doctor` finds, whether or not a check fails.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub fn doctor(&self) -> Result<Vec<Value>> {
        let mut command = Command::new(super::binary("ferrule")?);
        let output = command.arg("--socket").arg(self.socket()).args(["-o", "json", "doctor"]).output()?;
        let complaint = || String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).with_context(complaint)
    }

    /// The number of packets that a program counted with an outcome, such as `from_pod` and `spoofed-mac`.
    ///
    /// # Errors
    /// Where the agent does not answer.
    pub fn count(&self, program: &str, outcome: &str) -> Result<u64> {
        let samples = self.ferrule("metrics")?;
        let found = samples
            .as_array()
            .context("metrics are no list")?
            .iter()
            .find(|sample| sample["program"] == program && sample["outcome"] == outcome);
        Ok(found.and_then(|sample| sample["packets"].as_u64()).unwrap_or(0))
    }

    /// What a failed test wants to know: what the agent says of itself, its log, and the node's links and routes.
    #[must_use]
    pub fn describe(&self) -> String {
        let ip = |words: &str| self.netns.ip(words).unwrap_or_else(|error| format!("{error:#}\n"));
        let log = self.agent().as_ref().map_or_else(String::new, Agent::log_end);
        let status = self.ferrule("status").map_or_else(|error| format!("{error:#}"), |value| format!("{value:#}"));
        let metrics = self.ferrule("metrics").map_or_else(|error| format!("{error:#}"), |value| format!("{value}"));
        format!("== {}\n{status}\n{metrics}\n{}{}{}{log}\n", self.name, ip("-br addr"), ip("route"), ip("-6 route"))
    }

    /// Leaves agent and namespace when this is dropped.
    pub fn keep(&mut self) {
        self.netns.keep();
        self.cgroup.keep();
        if let Some(agent) = self.agent().as_mut() {
            agent.keep();
        }
    }

    fn agent(&self) -> MutexGuard<'_, Option<Agent>> {
        self.agent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Agent> {
        self.agent().take().with_context(|| format!("{} has no running agent", self.name))
    }

    /// A flag that stands twice would be refused: what stands in `further` replaces the node's own.
    fn arguments_with(&self, further: &[&str]) -> Vec<String> {
        let mut arguments = Vec::new();
        for pair in self.agent_arguments().chunks(2).filter(|pair| !further.contains(&pair[0].as_str())) {
            arguments.extend_from_slice(pair);
        }
        arguments.extend(further.iter().map(|word| (*word).to_owned()));
        arguments
    }

    fn agent_arguments(&self) -> Vec<String> {
        let own = [
            ("--node-name", self.name.clone()),
            ("--socket", self.socket().display().to_string()),
            ("--state-dir", self.state().display().to_string()),
            ("--bpffs", self.pins().display().to_string()),
            ("--cgroup-root", self.cgroup.path().display().to_string()),
        ];
        // What a test's layout says goes before what is the node's own.
        let own = own.into_iter().filter(|(flag, _)| !self.arguments.iter().any(|given| given == flag));
        own.flat_map(|(flag, value)| [flag.to_owned(), value]).chain(self.arguments.clone()).collect()
    }
}
