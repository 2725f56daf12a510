//! What the command line asks of the API server in an operator's name: agents, and programs in pods.

use std::{ffi::OsStr, path::PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use ferrule_source::{
    kubernetes,
    kubernetes::{Access, Health},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{AttachParams, AttachedProcess, ListParams},
};
use tokio::io::AsyncReadExt;

/// The label that the chart gives to agents' pods.
const AGENTS: &str = "app.kubernetes.io/name=ferrule";
/// Their container.
pub const CONTAINER: &str = "agent";

/// Where the API server is, and who asks.
#[derive(Debug, clap::Args)]
pub struct Credentials {
    /// The kubeconfig with which the API server is asked [default: of those in $KUBECONFIG the first that is there, else
    /// ~/.kube/config; within a pod, its service account]
    #[arg(long, value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server's URL, where that of the credentials leads nowhere
    #[arg(long, value_name = "URL")]
    pub api_server: Option<String>,
}

impl Credentials {
    /// Whether anything says how the API server is asked, but for a pod's service account.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.api_server.is_some() || self.kubeconfig().is_some()
    }

    fn kubeconfig(&self) -> Option<PathBuf> {
        let named = || std::env::var_os("KUBECONFIG").and_then(|variable| listed(&variable));
        self.kubeconfig.clone().or_else(named).or_else(usual)
    }

    /// A client.
    ///
    /// # Errors
    /// Where credentials are missing or cannot be used.
    pub async fn client(&self) -> Result<Client> {
        // As kubectl has it: whoever runs it chose the URL.
        let access = Access { kubeconfig: self.kubeconfig(), api_server: self.api_server.clone(), plain: true };
        Ok(kubernetes::connect(&access, &std::sync::Arc::new(Health::default())).await?)
    }
}

/// The kubeconfig of a variable that holds a list of them, as kubectl reads it: the first that is there, else the first.
fn listed(variable: &OsStr) -> Option<PathBuf> {
    let all: Vec<PathBuf> = std::env::split_paths(variable).filter(|path| !path.as_os_str().is_empty()).collect();
    all.iter().find(|path| path.exists()).or(all.first()).cloned()
}

/// The user's own kubeconfig; within a pod its service account is meant.
fn usual() -> Option<PathBuf> {
    let in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    home.filter(|path| !in_pod && path.exists())
}

/// An agent's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// Its image.
    pub image: String,
    /// It is ready.
    pub ready: bool,
}

impl Agent {
    fn of(pod: &Pod) -> Option<Self> {
        let spec = pod.spec.as_ref()?;
        let container = spec.containers.iter().find(|container| container.name == CONTAINER)?;
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        Some(Self {
            namespace: pod.metadata.namespace.clone()?,
            name: pod.metadata.name.clone()?,
            node: spec.node_name.clone()?,
            image: container.image.clone()?,
            ready: conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"),
        })
    }
}

/// The agents of all nodes, by node.
///
/// # Errors
/// The API server's.
pub async fn agents(client: &Client) -> Result<Vec<Agent>> {
    let pods: Api<Pod> = Api::all(client.clone());
    let list = pods.list(&ListParams::default().labels(AGENTS)).await.context("the agents' pods cannot be listed")?;
    let mut agents: Vec<Agent> = list.items.iter().filter_map(Agent::of).collect();
    agents.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(agents)
}

/// Starts a program in a container of a pod.
///
/// # Errors
/// Where the API server or the kubelet refuses.
pub async fn start(pods: &Api<Pod>, pod: &str, container: &str, command: &[&str]) -> Result<AttachedProcess> {
    let params = AttachParams::default().container(container).stdin(false).stdout(true).stderr(true);
    let params = params.max_stdout_buf_size(1 << 16).max_stderr_buf_size(1 << 16);
    let started = pods.exec(pod, command.to_vec(), &params).await;
    started.with_context(|| format!("{} cannot be run in pod {pod}", command.join(" ")))
}

/// Runs a program in a container of a pod to its end; what it wrote to its standard output.
///
/// # Errors
/// Where it cannot be started or fails: what it wrote to its standard error.
pub async fn run(pods: &Api<Pod>, pod: &str, container: &str, command: &[&str]) -> Result<Vec<u8>> {
    let mut process = start(pods, pod, container, command).await?;
    let (mut output, mut errors) = (process.stdout(), process.stderr());
    let status = process.take_status();
    let (mut out, mut words) = (Vec::new(), Vec::new());
    let both = async {
        let read_out = async {
            match &mut output {
                Some(stream) => stream.read_to_end(&mut out).await.map(drop),
                None => Ok(()),
            }
        };
        let read_words = async {
            match &mut errors {
                Some(stream) => stream.read_to_end(&mut words).await.map(drop),
                None => Ok(()),
            }
        };
        tokio::try_join!(read_out, read_words)
    };
    both.await.with_context(|| format!("pod {pod}: what it says cannot be read"))?;
    let status = match status {
        Some(status) => status.await,
        None => None,
    };
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    match status {
        Some(status) if status.status.as_deref().is_some_and(|status| status == "Success") => Ok(out),
        Some(status) => {
            let why = status.message.unwrap_or_default();
            bail!("pod {pod}: {}", if words.is_empty() { why } else { words })
        }
        None => Err(anyhow!("pod {pod}: the connection ended before the program did")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_kubeconfigs_means_the_first_that_is_there() {
        let there = tempfile::NamedTempFile::new().unwrap();
        let path = there.path().display();
        let check = |variable: &str, expected: Option<&str>| {
            assert_eq!(listed(OsStr::new(variable)), expected.map(PathBuf::from), "{variable:?}");
        };
        check("", None);
        check("/gone", Some("/gone"));
        check(&format!("/gone:{path}:/other"), Some(&path.to_string()));
        check(&format!(":{path}"), Some(&path.to_string()));
    }

    #[test]
    fn an_agent_is_read_from_its_pod() {
        let pod = serde_json::from_value(json!({
            "metadata": {"namespace": "kube-system", "name": "ferrule-x"},
            "spec": {"nodeName": "n1", "containers": [{"name": "agent", "image": "i:1"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        }));
        let agent = Agent::of(&pod.unwrap()).unwrap();
        assert_eq!((agent.node.as_str(), agent.image.as_str(), agent.ready), ("n1", "i:1", true));
        let other = json!({"metadata": {}, "spec": {"containers": [{"name": "other"}]}});
        assert_eq!(Agent::of(&serde_json::from_value(other).unwrap()), None);
    }
}
