//! The agents' DaemonSet, made into one that cleans up, and how far it is.

use anyhow::{Context, Result};
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};
use serde_json::{Value, json};

/// The container and the volume, as the chart names them.
const AGENT: &str = "agent";
const CNI_BIN: &str = "cni-bin";

/// The patch that makes the pods clean up and stay; none where they do already. Nothing puts the plugin back, its folder can
/// be written, and all nodes go at once: there is nothing left to be gentle with.
///
/// # Errors
/// Where the DaemonSet is not one of the chart's.
pub(super) fn cleaning(set: &DaemonSet) -> Result<Option<Value>> {
    let spec = set.spec.as_ref().context("spec: is missing")?;
    let pod = spec.template.spec.as_ref().context("spec.template.spec: is missing")?;
    let mut containers = serde_json::to_value(&pod.containers)?;
    let agent = containers.as_array_mut().into_iter().flatten().find(|container| container["name"] == AGENT);
    let agent = agent.with_context(|| format!("spec.template.spec.containers: none is named {AGENT}"))?;
    let command = agent["command"].as_array_mut().context("the agent's container has no command")?;
    if command.iter().any(|word| word == "cleanup") {
        return Ok(None);
    }
    let run = command.iter_mut().find(|word| **word == "run");
    *run.context("the agent's command has no `run`")? = json!("cleanup");
    command.push(json!("--stay"));
    for mount in agent["volumeMounts"].as_array_mut().into_iter().flatten() {
        if mount["name"] == CNI_BIN {
            mount["readOnly"] = json!(false);
        }
    }
    // Who cleans up has no socket to ask.
    for probe in ["startupProbe", "livenessProbe"] {
        agent[probe] = Value::Null;
    }
    Ok(Some(json!({
        // Somebody else's change meanwhile is not overwritten.
        "metadata": {"resourceVersion": set.metadata.resource_version},
        "spec": {
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%", "maxSurge": 0}},
            "template": {"spec": {"initContainers": null, "containers": containers}},
        },
    })))
}

/// What is still to be done, in words; none when all nodes are clean.
pub(super) fn left(set: &DaemonSet) -> Option<String> {
    let status = set.status.clone().unwrap_or_default();
    if status.observed_generation < set.metadata.generation {
        return Some("the daemonset's controller has not seen it yet".into());
    }
    let wanted = status.desired_number_scheduled;
    // Those that were not rolled yet may be among the ready ones.
    let former = wanted - status.updated_number_scheduled.unwrap_or_default();
    let clean = (status.number_ready - former).max(0);
    (clean < wanted).then(|| format!("{clean} of {wanted} nodes are clean"))
}

/// The selector of its pods, as the API takes it.
pub(super) fn selector(set: &DaemonSet) -> String {
    let labels = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default();
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The nodes of pods that are not ready, each with its pod.
pub(super) fn not_ready(pods: &[Pod]) -> Vec<String> {
    let is_ready = |pod: &&Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
    };
    let node = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let name = |pod: &Pod| pod.metadata.name.clone().unwrap_or_default();
    pods.iter().filter(|pod| !is_ready(pod)).map(|pod| format!("{} ({})", node(pod), name(pod))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(command: &[&str], status: Value) -> DaemonSet {
        let pod = json!({
            "initContainers": [{"name": "install"}],
            "containers": [
                {"name": "agent", "command": command, "volumeMounts": [
                    {"name": "cni-bin", "mountPath": "/host/cni/bin", "readOnly": true},
                    {"name": "config", "mountPath": "/etc/ferrule", "readOnly": true},
                ], "livenessProbe": {"exec": {"command": ["/usr/bin/ferrule", "alive"]}}, "readinessProbe": {"periodSeconds": 2}},
                {"name": "other"},
            ],
        });
        let labels = json!({"app.kubernetes.io/name": "ferrule"});
        serde_json::from_value(json!({
            "metadata": {"name": "ferrule", "resourceVersion": "7", "generation": 3},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
            "status": status,
        }))
        .unwrap()
    }

    fn status(seen: i64, wanted: i32, updated: i32, ready: i32) -> Value {
        json!({
            "observedGeneration": seen, "desiredNumberScheduled": wanted, "updatedNumberScheduled": updated,
            "numberReady": ready, "currentNumberScheduled": wanted, "numberMisscheduled": 0,
        })
    }

    #[test]
    fn the_agents_clean_up_and_nothing_puts_the_plugin_back() {
        let set = set(&["/usr/bin/ferrule-agent", "run", "--config", "/c"], status(3, 2, 2, 2));
        let patch = cleaning(&set).unwrap().unwrap();
        let pod = &patch["spec"]["template"]["spec"];
        assert_eq!(
            pod["containers"][0]["command"],
            json!(["/usr/bin/ferrule-agent", "cleanup", "--config", "/c", "--stay"])
        );
        assert_eq!(pod["containers"][0]["volumeMounts"][0]["readOnly"], false);
        assert_eq!(pod["containers"][0]["volumeMounts"][1]["readOnly"], true);
        assert!(pod["containers"][0]["livenessProbe"].is_null(), "nothing answers on the socket");
        assert_eq!(pod["containers"][0]["readinessProbe"]["periodSeconds"], 2, "it tells when the node is clean");
        assert!(pod["initContainers"].is_null() && pod["containers"][1]["name"] == "other");
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
    }

    #[test]
    fn one_that_cleans_up_already_is_left_alone() {
        assert!(
            cleaning(&set(&["/usr/bin/ferrule-agent", "cleanup", "--stay"], status(3, 1, 1, 1))).unwrap().is_none()
        );
    }

    #[test]
    fn one_that_is_not_the_charts_is_refused() {
        let words = cleaning(&set(&["/bin/other"], status(3, 1, 1, 1))).unwrap_err().to_string();
        assert!(words.contains("no `run`"), "{words}");
    }

    #[test]
    fn it_is_done_when_every_node_has_a_new_pod_that_is_ready() {
        let words = |status| left(&set(&["run"], status));
        assert!(words(status(2, 2, 2, 2)).unwrap().contains("not seen"));
        assert_eq!(words(status(3, 2, 0, 2)).as_deref(), Some("0 of 2 nodes are clean"));
        assert_eq!(words(status(3, 2, 1, 1)).as_deref(), Some("0 of 2 nodes are clean"));
        assert_eq!(words(status(3, 2, 2, 1)).as_deref(), Some("1 of 2 nodes are clean"));
        assert_eq!(words(status(3, 2, 2, 2)), None);
    }

    #[test]
    fn nodes_that_are_behind_are_named() {
        let pod = |name: &str, node: &str, ready: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"name": name}, "spec": {"nodeName": node, "containers": []},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }))
            .unwrap()
        };
        assert_eq!(not_ready(&[pod("a", "n1", "True"), pod("b", "n2", "False")]), ["n2 (b)"]);
        assert_eq!(selector(&set(&[], status(0, 0, 0, 0))), "app.kubernetes.io/name=ferrule");
    }
}
