//! Calls of the CNI plugin, as a runtime makes them.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Netns;

/// One call; set what differs.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// `CNI_COMMAND`.
    pub command: String,
    /// `CNI_CONTAINERID`.
    pub container: String,
    /// `CNI_NETNS`.
    pub netns: PathBuf,
    /// The pod's namespace, for `CNI_ARGS`.
    pub namespace: String,
    /// The pod's name, for `CNI_ARGS`.
    pub pod: String,
    /// Standard input.
    pub config: Value,
    /// The plugin's file, where it is not ours.
    pub plugin: Option<PathBuf>,
}

/// The plugin's error, as JSON on its standard output.
#[derive(Debug, thiserror::Error)]
#[error("{command} of {container}: {error}{stderr}")]
pub struct Failure {
    /// `CNI_COMMAND`.
    pub command: String,
    /// `CNI_CONTAINERID`.
    pub container: String,
    /// CNI's error object, or what stood in its place.
    pub error: Value,
    /// What it said beside.
    pub stderr: String,
}

impl Invocation {
    /// A call with a node's configuration.
    #[must_use]
    pub fn new(command: &str, container: &str, netns: &Path, socket: &Path) -> Self {
        let config = json!({
            "cniVersion": "1.1.0",
            "name": "ferrule",
            "type": "ferrule-cni",
            "agentSocket": socket,
            "logFile": socket.with_file_name("cni.log"),
        });
        Self {
            command: command.into(),
            container: container.into(),
            netns: netns.into(),
            namespace: "default".into(),
            pod: container.into(),
            config,
            plugin: None,
        }
    }

    /// With a field added to the configuration, or replaced.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.config[field] = value;
        self
    }

    /// Starts it in the node's namespace.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn(&self, node: &Netns) -> Result<Child> {
        self.start(node.command(self.file()?))
    }

    /// Starts it in the calling thread's namespace: what is timed holds no `nsenter`.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn spawn_here(&self) -> Result<Child> {
        self.start(Command::new(self.file()?))
    }

    fn start(&self, mut command: Command) -> Result<Child> {
        let mut child = self.prepare(&mut command).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // What the plugin does not read it need not.
            let _ = stdin.write_all(self.config.to_string().as_bytes());
        }
        Ok(child)
    }

    /// Runs it in the node's namespace; its result, null where it prints none.
    ///
    /// # Errors
    /// [`Failure`], the plugin's own error.
    pub fn run(&self, node: &Netns) -> Result<Value> {
        self.answer(self.spawn(node)?)
    }

    /// Runs it by a command that starts the plugin elsewhere.
    ///
    /// # Errors
    /// As [`Invocation::answer`].
    pub fn run_by(&self, command: Command) -> Result<Value> {
        self.answer(self.start(command)?)
    }

    /// Waits for one that was started; its result, null where it prints none.
    ///
    /// # Errors
    /// [`Failure`], the plugin's own error.
    pub fn answer(&self, child: Child) -> Result<Value> {
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).context(text) };
        }
        let error = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure { command: self.command.clone(), container: self.container.clone(), error, stderr }.into())
    }

    fn arguments(&self) -> String {
        format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={}", self.namespace, self.pod)
    }

    fn file(&self) -> Result<PathBuf> {
        self.plugin.clone().map_or_else(|| super::binary("ferrule-cni"), Ok)
    }

    fn prepare<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("CNI_COMMAND", &self.command)
            .env("CNI_CONTAINERID", &self.container)
            .env("CNI_NETNS", &self.netns)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", "/usr/lib/cni")
            .env("CNI_ARGS", self.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
    }
}
