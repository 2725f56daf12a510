//! What the test puts into the cluster: a namespace, pods, a Service and policies. Nothing of it needs a right on a node.

use serde_json::{Value, json};

use super::serve::PORT;

/// The label that the Service selects.
pub(super) const SERVED: &str = "ferrule.dev/served";
/// The Service's name.
pub(super) const SERVICE: &str = "servers";

/// The namespace. Its pods on the nodes' own network are refused where a cluster enforces less than this.
pub(super) fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {
            "app.kubernetes.io/part-of": "ferrule-connectivity",
            "pod-security.kubernetes.io/enforce": "privileged",
        }},
    })
}

/// A pod that serves; one on its node's network waits for questions only.
pub(super) fn pod(name: &str, node: &str, image: &str, host: bool) -> Value {
    let command = json!(["/usr/bin/ferrule", "connectivity", if host { "wait" } else { "serve" }]);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"ferrule.dev/pod": name, SERVED: (!host).to_string()}},
        "spec": {
            // Not by the scheduler: the test says which nodes.
            "nodeName": node,
            "hostNetwork": host,
            "dnsPolicy": if host { "ClusterFirstWithHostNet" } else { "ClusterFirst" },
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "tolerations": [{"operator": "Exists"}],
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65_532, "runAsGroup": 65_532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": command,
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

/// The Service that leads to the servers, in every family that the cluster has.
pub(super) fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": SERVICE},
        "spec": {
            "ipFamilyPolicy": "PreferDualStack",
            "selector": {SERVED: "true"},
            "ports": [
                {"name": "tcp", "port": PORT, "protocol": "TCP"},
                {"name": "udp", "port": PORT, "protocol": "UDP"},
            ],
        },
    })
}

/// A policy that lets nobody, or one pod, reach another.
pub(super) fn policy(name: &str, of: &str, allowed: Option<&str>) -> Value {
    let from = |pod: &str| json!({"from": [{"podSelector": {"matchLabels": {"ferrule.dev/pod": pod}}}]});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"ferrule.dev/pod": of}},
            "policyTypes": ["Ingress"],
            "ingress": allowed.map(from).into_iter().collect::<Vec<_>>(),
        },
    })
}
