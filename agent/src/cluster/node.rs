//! That this node has a network: the condition `NetworkUnavailable` and our start taint
//! (<https://kubernetes.io/docs/reference/labels-annotations-taints/>).

use std::{sync::Arc, time::Duration};

use ferrule_api::chain::chain;
use ferrule_source::{decode::START_TAINT as TAINT, store::Reader};
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use super::client::{Cluster, pauses};
use crate::state::NodeState;

const CONDITION: &str = "NetworkUnavailable";
const REASON: &str = "FerruleIsUp";
/// How soon the Node object is looked at again where nothing of it has changed, at first and in the end.
const LOOK: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

pub(super) async fn run(cluster: Cluster, mut store: Reader, mut state: watch::Receiver<Arc<NodeState>>) {
    if state.wait_for(|state| state.ready).await.is_err() {
        return;
    }
    let mut seen = None;
    let (mut again, mut due) = (LOOK.0, Instant::now() + LOOK.0);
    loop {
        // A Node object that was made anew has to be told anew, and one that got the taint again.
        let snapshot = store.snapshot();
        let node = snapshot.objects.nodes.get(cluster.node_name.as_str()).cloned();
        if node.is_some() && node != seen {
            settle(&cluster).await;
            seen = node;
            due = Instant::now() + again;
        }
        match tokio::time::timeout_at(due, store.changed()).await {
            Ok(false) => return,
            Ok(true) => {}
            // Another controller may have set the condition, which is no part of what the store holds.
            Err(_) => (seen, again) = (None, (again * 2).min(LOOK.1)),
        }
    }
}

/// Tries until the node says so, or there is no such node.
async fn settle(cluster: &Cluster) {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    for pause in pauses() {
        let answer = told(&nodes, &cluster.node_name).await;
        let needless = matches!(&answer, Err(kube::Error::Api(status)) if status.code == 404);
        cluster.health.told("nodes and nodes/status", answer.as_ref().err().filter(|_| !needless));
        match answer {
            Ok(()) => return,
            Err(_) if needless => return,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    "the Node object cannot be told that its network is there; tried again"
                );
                tokio::time::sleep(pause).await;
            }
        }
    }
}

async fn told(nodes: &Api<Node>, name: &str) -> Result<(), kube::Error> {
    let node = nodes.get(name).await?;
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    if let Some(kept) = without_ours(taints) {
        // The version makes it fail where somebody else changed the taints meanwhile.
        let version = node.metadata.resource_version.as_deref();
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": kept}});
        nodes.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        tracing::info!(taint = TAINT, "the start taint is taken off");
    }
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if !conditions.iter().any(|one| one.type_ == CONDITION && one.status == "False") {
        let patch = Patch::Strategic(available());
        nodes.patch_status(name, &PatchParams::default(), &patch).await?;
        tracing::info!("the Node object says that its network is available");
    }
    Ok(())
}

fn available() -> Value {
    let now = k8s_openapi::jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({"status": {"conditions": [{
        "type": CONDITION, "status": "False", "reason": REASON, "message": "Ferrule is running on this node",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    }]}})
}

/// Takes our condition off a node that has no agent any more; another's stays.
///
/// # Errors
/// The API server's.
pub async fn forget(client: &Client, name: &str) -> Result<(), kube::Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let Some(node) = nodes.get_opt(name).await? else { return Ok(()) };
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    if conditions.iter().any(|one| one.type_ == CONDITION && one.reason.as_deref() == Some(REASON)) {
        let patch = json!({"status": {"conditions": [{"type": CONDITION, "$patch": "delete"}]}});
        nodes.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await?;
    }
    Ok(())
}

/// The taints without ours; none where it is not among them.
fn without_ours(taints: &[Taint]) -> Option<Vec<Taint>> {
    let kept: Vec<Taint> = taints.iter().filter(|taint| taint.key != TAINT).cloned().collect();
    (kept.len() != taints.len()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_taints_stay() {
        let taint = |key: &str| Taint { key: key.into(), effect: "NoSchedule".into(), ..Taint::default() };
        assert_eq!(without_ours(&[taint("a"), taint(TAINT)]), Some(vec![taint("a")]));
        assert_eq!(without_ours(&[taint("a")]), None);
    }
}
