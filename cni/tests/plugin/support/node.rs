//! A node: a host namespace, a folder for the agent's files, an agent, and calls of the plugin.

use std::{
    io::Write,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use ferrule_api::{plugin as api, plugin::AttachmentId};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    agent::{FakeAgent, State},
    netns::Netns,
};

/// A node. The agent comes first, since it must stop before its folder goes.
pub struct Node {
    pub agent: Option<FakeAgent>,
    pub host: Netns,
    pub folder: TempDir,
    pub state: Arc<Mutex<State>>,
}

/// What a call ended with.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// The result of a call that must succeed.
    pub fn ok(&self) -> Value {
        assert!(self.success, "{self:?}");
        if self.stdout.is_empty() { Value::Null } else { serde_json::from_str(&self.stdout).unwrap() }
    }

    /// The error's code and message, of a call that must fail.
    pub fn error(&self) -> (u64, String) {
        assert!(!self.success, "{self:?}");
        let error: Value = serde_json::from_str(&self.stdout).unwrap();
        assert!(error["cniVersion"].is_string() && error["details"].is_string(), "{error}");
        (error["code"].as_u64().unwrap(), error["msg"].as_str().unwrap().to_owned())
    }

    /// That it failed with this code, and with words in its message.
    pub fn fails(&self, code: u64, words: &str) {
        let (found, message) = self.error();
        assert!(found == code && message.contains(words), "{self:?}\n  expected {code} and {words:?}");
    }
}

/// One call of the plugin; set what differs.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub variables: Vec<(&'static str, String)>,
    pub config: Vec<u8>,
}

impl Invocation {
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| *known != name);
        self
    }

    pub fn config(mut self, config: &Value) -> Self {
        self.config = config.to_string().into_bytes();
        self
    }
}

impl Node {
    pub fn new() -> Self {
        let (host, folder) = (Netns::new("host"), TempDir::new().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let mut node = Self { agent: None, host, folder, state };
        node.start_agent();
        node
    }

    pub fn start_agent(&mut self) {
        self.agent = Some(FakeAgent::start(&self.socket(), &self.host.name, Arc::clone(&self.state)));
    }

    pub fn stop_agent(&mut self) {
        self.agent = None;
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn tell(&self, path: &str, status: u16, answer: Value) {
        self.state().answers.insert(path.into(), (status, answer));
    }

    pub fn asked(&self, path: &str) -> Vec<Value> {
        self.state().requests.iter().filter(|(asked, _)| asked == path).map(|(_, body)| body.clone()).collect()
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("agent.sock")
    }

    pub fn log(&self) -> Vec<Value> {
        let log = std::fs::read_to_string(self.folder.path().join("cni.log")).unwrap_or_default();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn notes(&self) -> Vec<Value> {
        let folder = std::fs::read_dir(api::release_notes(&self.socket()));
        let files = folder.into_iter().flatten().flatten();
        files.map(|file| serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap()).collect()
    }

    /// The configuration, with fields added or replaced.
    pub fn config(&self, more: Value) -> Value {
        let mut config = json!({
            "cniVersion": "1.0.0",
            "name": "pods",
            "type": "ferrule-cni",
            "agentSocket": self.socket(),
            "logFile": self.folder.path().join("cni.log"),
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }

    pub fn invocation(&self, command: &str, container: &str, netns: &str) -> Invocation {
        Invocation {
            variables: vec![
                ("CNI_COMMAND", command.into()),
                ("CNI_CONTAINERID", container.into()),
                ("CNI_NETNS", netns.into()),
                ("CNI_IFNAME", "eth0".into()),
                ("CNI_PATH", "/usr/lib/cni".into()),
                ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1".into()),
            ],
            config: self.config(json!({})).to_string().into_bytes(),
        }
    }

    pub fn add(&self, container: &str, pod: &Netns) -> Ended {
        self.call(&self.invocation("ADD", container, &pod.path()))
    }

    pub fn del(&self, container: &str) -> Ended {
        self.call(&self.invocation("DEL", container, ""))
    }

    /// Starts the plugin in the host namespace; its stdin is written and closed.
    pub fn spawn(&self, invocation: &Invocation) -> Child {
        let mut child = self.command(invocation).stdin(Stdio::piped()).spawn().unwrap();
        // What the plugin does not read it need not.
        let _ = child.stdin.take().unwrap().write_all(&invocation.config);
        child
    }

    pub fn command(&self, invocation: &Invocation) -> Command {
        // Another build of the plugin, such as the image's, runs the same suite.
        let plugin = std::env::var("FERRULE_CNI_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ferrule-cni").into());
        let mut command = self.host.command(&plugin);
        for name in ["CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH", "CNI_ARGS"] {
            command.env_remove(name);
        }
        command.envs(invocation.variables.iter().cloned()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn call(&self, invocation: &Invocation) -> Ended {
        let output = self.spawn(invocation).wait_with_output().unwrap();
        Ended {
            success: output.status.success(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// That nothing is left of any attachment.
    pub fn is_clean(&self) {
        let state = self.state();
        assert!(state.leases.is_empty() && state.active.is_empty(), "{state:#?}");
        assert_eq!(self.host.links(), Vec::<String>::new());
    }
}

pub fn id(container: &str, ifname: &str) -> AttachmentId {
    AttachmentId { container_id: container.into(), ifname: ifname.into() }
}
