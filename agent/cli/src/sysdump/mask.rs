//! What of the cluster's objects goes into a dump: only what is named here. Environments, arguments, volumes, probes and
//! others' annotations may hold secrets, and are never asked for.

use Mask::{All, Members};
use ferrule_source::{announce, decode::MIRROR};
use serde_json::Value;

/// What is wanted of a value. Of a list it is wanted of each element.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mask {
    /// Everything.
    All,
    /// These members.
    Members(&'static [(&'static str, Mask)]),
}

impl Mask {
    /// Takes everything else out of a value.
    pub(super) fn apply(self, value: &mut Value) {
        let Members(wanted) = self else { return };
        match value {
            Value::Object(members) => members.retain(|name, value| {
                let mask = wanted.iter().find(|(wanted, _)| wanted == name).map(|(_, mask)| *mask);
                mask.inspect(|mask| mask.apply(value)).is_some()
            }),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.apply(element)),
            _ => {}
        }
    }
}

const METADATA: Mask = Members(&[
    ("name", All),
    ("namespace", All),
    ("uid", All),
    ("resourceVersion", All),
    ("generation", All),
    ("creationTimestamp", All),
    ("deletionTimestamp", All),
    ("labels", All),
    ("annotations", Members(&[(announce::ANNOTATION, All), (MIRROR, All), ("ferrule.dev/config", All)])),
    ("ownerReferences", Members(&[("kind", All), ("name", All)])),
]);

const CONDITION: Mask = Members(&[("type", All), ("status", All), ("reason", All), ("lastTransitionTime", All)]);

const NODE: Mask = Members(&[
    ("metadata", METADATA),
    ("spec", Members(&[("podCIDR", All), ("podCIDRs", All), ("taints", All), ("unschedulable", All)])),
    (
        "status",
        Members(&[
            ("addresses", All),
            ("conditions", CONDITION),
            (
                "nodeInfo",
                Members(&[
                    ("kernelVersion", All),
                    ("osImage", All),
                    ("containerRuntimeVersion", All),
                    ("kubeletVersion", All),
                    ("architecture", All),
                ]),
            ),
        ]),
    ),
]);

const CONTAINER: Mask = Members(&[("name", All), ("image", All), ("ports", All), ("restartPolicy", All)]);

const CONTAINER_STATE: Mask = Members(&[
    ("waiting", Members(&[("reason", All)])),
    ("running", Members(&[("startedAt", All)])),
    ("terminated", Members(&[("reason", All), ("exitCode", All), ("finishedAt", All)])),
]);

const POD: Mask = Members(&[
    ("metadata", METADATA),
    (
        "spec",
        Members(&[
            ("nodeName", All),
            ("hostNetwork", All),
            ("serviceAccountName", All),
            ("containers", CONTAINER),
            ("initContainers", CONTAINER),
        ]),
    ),
    (
        "status",
        Members(&[
            ("phase", All),
            ("podIP", All),
            ("podIPs", All),
            ("hostIPs", All),
            ("conditions", CONDITION),
            (
                "containerStatuses",
                Members(&[
                    ("name", All),
                    ("ready", All),
                    ("restartCount", All),
                    ("state", CONTAINER_STATE),
                    ("lastState", CONTAINER_STATE),
                ]),
            ),
        ]),
    ),
]);

const SERVICE: Mask = Members(&[
    ("metadata", METADATA),
    (
        "spec",
        Members(&[
            ("type", All),
            ("clusterIP", All),
            ("clusterIPs", All),
            ("ipFamilies", All),
            ("ipFamilyPolicy", All),
            ("ports", All),
            ("selector", All),
            ("sessionAffinity", All),
            ("sessionAffinityConfig", All),
            ("internalTrafficPolicy", All),
            ("externalTrafficPolicy", All),
            ("trafficDistribution", All),
            ("publishNotReadyAddresses", All),
        ]),
    ),
]);

const SLICE: Mask = Members(&[("metadata", METADATA), ("addressType", All), ("endpoints", All), ("ports", All)]);

const POLICY: Mask = Members(&[("metadata", METADATA), ("spec", All)]);

const NAMESPACE: Mask = Members(&[("metadata", METADATA), ("status", All)]);

/// What is asked for, and what of it is kept: a file's name, a path of the API, a mask.
pub(super) const OBJECTS: [(&str, &str, Mask); 6] = [
    ("nodes", "/api/v1/nodes", NODE),
    ("namespaces", "/api/v1/namespaces", NAMESPACE),
    ("pods", "/api/v1/pods", POD),
    ("services", "/api/v1/services", SERVICE),
    ("endpointslices", "/apis/discovery.k8s.io/v1/endpointslices", SLICE),
    ("networkpolicies", "/apis/networking.k8s.io/v1/networkpolicies", POLICY),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_a_pod_is_kept_that_may_hold_a_secret() {
        let secret = "s3cr3t";
        let mut pod = json!({
            "metadata": {"name": "web", "annotations": {"note": secret, announce::ANNOTATION: "10.0.0.1"},
                "managedFields": [{"manager": secret}]},
            "spec": {"nodeName": "n1", "volumes": [{"name": secret}], "imagePullSecrets": [{"name": secret}],
                "containers": [{"name": "c", "image": "i", "args": [secret], "command": [secret],
                    "env": [{"name": "E", "value": secret}], "ports": [{"containerPort": 80}],
                    "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": secret}]}}}]},
            "status": {"phase": "Running", "message": secret, "conditions": [{"type": "Ready", "message": secret}],
                "containerStatuses": [{"name": "c", "state": {"terminated": {"reason": "Error", "message": secret}}}]},
        });
        POD.apply(&mut pod);
        let kept = pod.to_string();
        assert!(!kept.contains(secret), "{kept}");
        for wanted in ["\"web\"", "10.0.0.1", "\"n1\"", "containerPort", "Running", "\"Error\""] {
            assert!(kept.contains(wanted), "{wanted}: {kept}");
        }
    }

    #[test]
    fn other_objects_keep_no_foreign_annotations() {
        let object = json!({"metadata": {"name": "x", "annotations": {"a": "s3cr3t"}}, "data": {"k": "s3cr3t"}});
        for (name, _, mask) in OBJECTS {
            let mut kept = object.clone();
            mask.apply(&mut kept);
            let kept = kept.to_string();
            assert!(!kept.contains("s3cr3t") && kept.contains("\"x\""), "{name}: {kept}");
        }
    }
}
