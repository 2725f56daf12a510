//! GC: what is not listed goes, and nothing else.

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::{
    netns::Netns,
    node::{Ended, Node},
};

fn gc(node: &Node, more: Value) -> Ended {
    let mut config = node.config(json!({"cniVersion": "1.1.0"}));
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    node.call(&node.invocation("GC", "", "").without("CNI_CONTAINERID").without("CNI_IFNAME").config(&config))
}

fn left(node: &Node) -> Vec<String> {
    node.state().leases.keys().map(|id| id.container_id.clone()).collect()
}

#[test]
fn what_is_listed_stays_and_the_rest_goes() {
    for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
        let (node, pods) = (Node::new(), [Netns::new("pod"), Netns::new("pod")]);
        node.add("a", &pods[0]).ok();
        node.add("b", &pods[1]).ok();
        assert_eq!(gc(&node, json!({key: [{"containerID": "b", "ifname": "eth0"}]})).ok(), Value::Null);
        assert_eq!(left(&node), ["b"]);
        assert_eq!(pods[1].links(), ["eth0"]);
        gc(&node, json!({key: []})).ok();
        node.is_clean();
    }
}

#[test]
fn another_network_is_not_touched() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("a", &pod).ok();
    gc(&node, json!({"name": "other", "cni.dev/valid-attachments": []})).ok();
    assert_eq!(left(&node), ["a"]);
}

#[test]
fn a_forgotten_list_removes_nothing() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("a", &pod).ok();
    gc(&node, json!({})).fails(7, "cni.dev/valid-attachments");
    gc(&node, json!({"cni.dev/valid-attachments": [{"containerID": "a"}]})).fails(7, "[0].ifname");
    gc(&node, json!({"cniVersion": "1.0.0", "cni.dev/valid-attachments": []})).fails(1, "GC needs cniVersion 1.1.0");
    assert_eq!(left(&node), ["a"]);
}

#[test]
fn errors_are_reported_after_all_was_tried() {
    let node = Node::new();
    node.tell(api::GC, 200, json!({"removed": [], "errors": ["link fr1 is busy", "link fr2 is busy"]}));
    gc(&node, json!({"cni.dev/valid-attachments": []})).fails(103, "link fr1 is busy; link fr2 is busy");
}

#[test]
fn an_ipam_plugin_is_asked_even_where_the_agent_fails() {
    let mut node = Node::new();
    node.stop_agent();
    let marker = crate::ipam::script(&node, "marks", "cat > $(dirname $0)/marker");
    let config = json!({"cni.dev/valid-attachments": [], "ipam": {"type": "marks"}});
    let mut full = node.config(json!({"cniVersion": "1.1.0"}));
    full.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    node.call(&node.invocation("GC", "", "").with("CNI_PATH", marker.to_str().unwrap()).config(&full))
        .fails(11, "not running");
    let seen: Value = serde_json::from_slice(&std::fs::read(marker.join("marker")).unwrap()).unwrap();
    assert_eq!(seen, full);
}
