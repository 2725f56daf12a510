//! Values of each kind, good and bad, as a manifest has them.

use super::Object;
use crate::source::manifest::{self, Item};

/// What the one object of this manifest decodes to, or the error.
fn decode(kind: &str, rest: &str) -> Result<Object, String> {
    let version = if kind == "NetworkPolicy" { "networking.k8s.io/v1" } else { "v1" };
    let text = format!("apiVersion: {version}\nkind: {kind}\n{rest}");
    match manifest::yaml(&text).unwrap().pop().unwrap() {
        Item::Object(_, object) => Ok(object),
        Item::Bad { error, .. } => Err(error.to_string()),
        Item::Unused { kind } => panic!("{kind} is not in use"),
    }
}

#[track_caller]
fn check(kind: &str, rest: &str, expected: &str) {
    let text = format!("metadata: {{name: x}}\n{rest}");
    assert_eq!(decode(kind, &text).unwrap_err(), expected, "{text}");
}

#[test]
fn a_bad_node_is_told_by_field() {
    check(
        "Node",
        "spec: {podCIDRs: [10.1.0.0/24, 10.2.0.0]}",
        "spec.podCIDRs[1]: \"10.2.0.0\" has no prefix length; write it like 10.1.0.0/24",
    );
    check("Node", "spec: {podCIDRs: [10.1.0.0/33]}", "spec.podCIDRs[0]: \"10.1.0.0/33\" is not a CIDR");
    check("Node", "spec: {podCIDRs: 10.1.0.0/24}", "spec.podCIDRs: is not a list");
    check("Node", "spec: 5", "spec: is not an object");
    check(
        "Node",
        "status: {addresses: [{type: InternalIP, address: node-b}]}",
        "status.addresses[0].address: \"node-b\" is not an IP address",
    );
    check(
        "Node",
        "status: {addresses: [{type: InternalIP, address: 127.0.0.1}]}",
        "status.addresses[0].address: 127.0.0.1 is not an address that a pod or node can have",
    );
    check("Node", "status: {addresses: [{type: InternalIP}]}", "status.addresses[0].address: is missing");
}

#[test]
fn a_bad_pod_is_told_by_field() {
    check(
        "Pod",
        "status: {podIPs: [{ip: '::ffff:10.0.0.1'}]}",
        "status.podIPs[0].ip: ::ffff:10.0.0.1 is an IPv4 address written as IPv6; write 10.0.0.1",
    );
    check("Pod", "spec: {hostNetwork: maybe}", "spec.hostNetwork: \"maybe\" is not true or false");
    check("Pod", "spec: {nodeName: 5}", "spec.nodeName: 5 is not a string; put it in quotes");
    check(
        "Pod",
        "status: {phase: Sleeping}",
        "status.phase: \"Sleeping\" is not a phase (Pending, Running, Succeeded, Failed, Unknown)",
    );
    check(
        "Pod",
        "spec: {containers: [{}, {ports: [{containerPort: 70000}]}]}",
        "spec.containers[1].ports[0].containerPort: 70000 is not a port, which is from 1 to 65535",
    );
    check(
        "Pod",
        "spec: {containers: [{ports: [{containerPort: 80, protocol: ICMP}]}]}",
        "spec.containers[0].ports[0].protocol: \"ICMP\" is not a protocol (TCP, UDP, SCTP)",
    );
    let labelled = |metadata: &str| decode("Pod", &format!("metadata: {{name: x, {metadata}}}")).unwrap_err();
    assert_eq!(labelled("labels: {replicas: 3}"), "metadata.labels[replicas]: 3 is not a string; put it in quotes");
    assert_eq!(
        labelled("creationTimestamp: now"),
        "metadata.creationTimestamp: \"now\" is not a time like 2026-11-22T17:00:00Z"
    );
}

#[test]
fn a_bad_policy_is_told_by_field() {
    check(
        "NetworkPolicy",
        "spec: {podSelector: {matchExpressions: [{key: a, operator: Is}]}}",
        "spec.podSelector.matchExpressions[0].operator: \"Is\" is not an operator (In, NotIn, Exists, DoesNotExist)",
    );
    check(
        "NetworkPolicy",
        "spec: {podSelector: {matchExpressions: [{key: a, operator: In}]}}",
        "spec.podSelector.matchExpressions[0].values: is empty, but In needs values",
    );
    check(
        "NetworkPolicy",
        "spec: {ingress: [{from: [{}]}]}",
        "spec.ingress[0].from[0]: names nobody; give it podSelector, namespaceSelector or ipBlock",
    );
    check(
        "NetworkPolicy",
        "spec: {egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}]}]}",
        "spec.egress[0].to[0].ipBlock.except[0]: 11.0.0.0/16 is not a part of 10.0.0.0/8",
    );
    check(
        "NetworkPolicy",
        "spec: {egress: [{ports: [{port: 90, endPort: 80}]}]}",
        "spec.egress[0].ports[0].endPort: is below port 90",
    );
    check(
        "NetworkPolicy",
        "spec: {egress: [{ports: [{port: http, endPort: 80}]}]}",
        "spec.egress[0].ports[0].endPort: needs a port that is a number",
    );
    check(
        "NetworkPolicy",
        "spec: {policyTypes: [Both]}",
        "spec.policyTypes[0]: \"Both\" is not a policy type (Ingress, Egress)",
    );
}

#[test]
fn every_field_of_a_pod_in_use_is_decoded() {
    let text = "
metadata: {name: web-0, namespace: shop, uid: u, labels: {app: web}, creationTimestamp: 1970-01-01T00:01:00Z, deletionTimestamp: 2026-11-22T17:00:00Z}
spec:
  nodeName: b
  hostNetwork: false
  initContainers: [{restartPolicy: Always, ports: [{containerPort: 9}]}, {ports: [{containerPort: 10}]}]
  containers: [{name: c, image: i, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]
status: {phase: Running, podIP: 10.1.0.7, podIPs: [{ip: 10.1.0.7}, {ip: 'fd00::7'}]}";
    let Object::Pod(pod) = decode("Pod", text).unwrap() else { panic!() };
    let shown = format!("{pod:?}");
    assert_eq!(pod.name.to_string(), "shop/web-0", "{shown}");
    assert_eq!((pod.created, pod.terminating, pod.host_network, pod.uid.as_str()), (60, true, false, "u"), "{shown}");
    assert_eq!((pod.labels.get("app"), pod.node.as_deref(), pod.ips.len()), (Some("web"), Some("b"), 2), "{shown}");
    assert_eq!(pod.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [53, 9], "{shown}");
}

#[test]
fn a_policy_isolates_what_kubernetes_says_where_it_names_no_types() {
    let isolates = |spec: &str| match decode("NetworkPolicy", &format!("metadata: {{name: x}}\nspec: {spec}")).unwrap()
    {
        Object::NetworkPolicy(policy) => format!("{:?}", policy.isolates),
        other => panic!("{other:?}"),
    };
    assert_eq!(isolates("{}"), "[Ingress]");
    assert_eq!(isolates("{egress: [{}]}"), "[Ingress, Egress]");
    assert_eq!(isolates("{policyTypes: [Egress]}"), "[Egress]");
}
