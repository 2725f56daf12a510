//! Taking Ferrule off a whole cluster: the agents are rolled into ones that clean up their node and say so.
//!
//! ```text
//! helm uninstall ─▶ a Job: `ferrule-agent uninstall` ─▶ the DaemonSet, with `cleanup --stay` ─▶ every pod of it is ready
//!                                                                                        └─▶ Helm removes the objects
//! ```
//! Each step can be done again: what is clean already stays clean.

mod daemon_set;
mod stay;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use ferrule_api::chain::chain;
use ferrule_source::{kubernetes, kubernetes::Health};
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams},
};
pub use stay::clean_and_stay;
use tokio::time::{Instant, sleep};

use crate::{config::SourceConfig, say};

/// How often the roll-out is looked at.
const PERIOD: Duration = Duration::from_millis(500);
/// Helm writes it on what it installs, and `helm template` does not.
const RELEASE: &str = "meta.helm.sh/release-name";

/// What is taken off.
#[derive(Debug, clap::Args)]
pub struct Request {
    /// The namespace of the agents' DaemonSet
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    pub namespace: String,
    /// The DaemonSet's name
    #[arg(long, value_name = "NAME", default_value = "ferrule")]
    pub daemonset: String,
    /// How long all nodes together may take
    #[arg(long, value_name = "SECONDS", default_value_t = 240)]
    pub timeout: u64,
    /// Go on where the DaemonSet is not a Helm release's
    #[arg(long)]
    pub force: bool,
}

/// Lets every node's agent clean up, and waits until all of them have.
///
/// # Errors
/// Where the API server refuses, the DaemonSet is not Helm's, or some node is not clean in time: which ones.
pub async fn uninstall(source: &SourceConfig, options: &Request) -> Result<()> {
    let SourceConfig::Kubernetes(access) = source else {
        bail!("kubeconfig: none is given; give --kubeconfig, or --source kubernetes within a pod");
    };
    let client = kubernetes::connect(access, &std::sync::Arc::new(Health::default())).await?;
    let Request { namespace, daemonset: name, .. } = options;
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), namespace);
    let end = Instant::now() + Duration::from_secs(options.timeout);
    let Some(set) = sets.get_opt(name).await.with_context(|| format!("daemonset {namespace}/{name}"))? else {
        say::line(&format!("there is no daemonset {namespace}/{name}: no agents to clean up with"))?;
        return Ok(());
    };
    if !options.force && !set.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(RELEASE)) {
        bail!(
            "daemonset {namespace}/{name} was not installed by Helm: `helm template` prints this Job, too, unless it gets \
             --no-hooks; to take Ferrule off every node, give --force"
        );
    }
    if let Some(patch) = daemon_set::cleaning(&set)? {
        let patched = sets.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        patched.with_context(|| format!("daemonset {namespace}/{name} cannot be patched"))?;
        say::line(&format!("the agents of {namespace}/{name} are told to clean up"))?;
    }
    let mut told = String::new();
    loop {
        let left = match sets.get(name).await {
            Ok(set) => daemon_set::left(&set),
            // It may be away for a moment.
            Err(error) => Some(chain(&error)),
        };
        let Some(left) = left else {
            say::line("every node is clean")?;
            return Ok(());
        };
        if left != told {
            say::line(&left)?;
            told.clone_from(&left);
        }
        if Instant::now() > end {
            bail!("not within {} s: {left}; {}", options.timeout, behind(&client, options, &set).await);
        }
        sleep(PERIOD).await;
    }
}

/// Which nodes are not clean, and where to look.
async fn behind(client: &Client, options: &Request, set: &DaemonSet) -> String {
    let Request { namespace, .. } = options;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().labels(&daemon_set::selector(set));
    let nodes = match pods.list(&params).await {
        Ok(list) => daemon_set::not_ready(&list.items),
        Err(error) => return format!("which nodes cannot be told ({})", chain(&error)),
    };
    format!(
        "not clean: {}. `kubectl -n {namespace} logs POD` says why; `helm uninstall --no-hooks` removes the objects without \
         cleaning up the nodes",
        if nodes.is_empty() { "nodes without such a pod".into() } else { nodes.join(", ") }
    )
}
