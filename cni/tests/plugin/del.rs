//! DEL: it succeeds whatever is left, and takes nothing of anybody else.

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::{
    agent,
    netns::Netns,
    node::{Node, id},
};

/// ADDs a pod, changes the DEL's call, and expects a clean node.
fn check(change: impl FnOnce(&Node, crate::support::node::Invocation) -> crate::support::node::Invocation) {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    let call = change(&node, node.invocation("DEL", "c1", &pod.path()));
    let ended = node.call(&call);
    assert_eq!(ended.ok(), Value::Null, "stdout is empty");
    assert_eq!(pod.links(), Vec::<String>::new());
    node.is_clean();
}

#[test]
fn del_cleans_with_every_kind_of_netns() {
    check(|_, call| call);
    check(|_, call| call.with("CNI_NETNS", ""));
    check(|_, call| call.without("CNI_NETNS"));
    check(|_, call| call.with("CNI_NETNS", "/var/run/netns/gone"));
    check(|node, call| call.with("CNI_NETNS", &node.host.path()));
}

#[test]
fn del_cleans_with_every_kind_of_prev_result() {
    for previous in [json!(null), json!("garbage"), json!({"ips": 7}), json!({"cniVersion": "9"})] {
        check(|node, call| call.config(&node.config(json!({"prevResult": previous}))));
    }
}

#[test]
fn del_minds_no_garbage_in_what_only_add_reads() {
    check(|node, call| call.config(&node.config(json!({"runtimeConfig": {"mac": 7}, "args": {"cni": {"ips": "x"}}}))));
    check(|_, call| call.with("CNI_ARGS", "nonsense"));
}

#[test]
fn del_works_in_every_version() {
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        check(|node, call| call.config(&node.config(json!({"cniVersion": version}))));
    }
}

#[test]
fn an_unknown_and_a_repeated_container_are_fine() {
    let node = Node::new();
    node.del("never-seen").ok();
    node.del("never-seen").ok();
    node.is_clean();
}

#[test]
fn del_after_the_netns_is_gone_frees_the_lease() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    drop(pod);
    node.del("c1").ok();
    node.is_clean();
}

#[test]
fn del_of_an_old_container_leaves_a_newer_one_alone() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("old", &pod).ok();
    node.del("old").ok();
    node.add("new", &pod).ok();
    let call = node.invocation("DEL", "old", &pod.path());
    node.call(&call).ok();
    assert_eq!(pod.links(), ["eth0"]);
    assert!(node.state().leases.contains_key(&id("new", "eth0")));
}

#[test]
fn without_an_agent_the_link_goes_and_a_note_waits() {
    let (mut node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    node.stop_agent();
    let began = std::time::Instant::now();
    node.del("c1").ok();
    node.del("c1").ok();
    assert!(began.elapsed().as_millis() < 2000);
    assert_eq!((pod.links(), node.host.links()), (vec![], vec![]));
    assert_eq!(node.notes(), [json!({"container_id": "c1", "ifname": "eth0"})]);
    assert!(node.log()[1]["notes"][0].as_str().unwrap().contains("a release note waits"), "{:?}", node.log());
    agent::release(&id("c1", "eth0"), &node.state, &node.host.name);
    node.is_clean();
}

#[test]
fn an_agent_that_hangs_holds_del_for_a_second() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    node.tell(api::RELEASE, 0, Value::Null);
    let began = std::time::Instant::now();
    node.del("c1").ok();
    assert!(began.elapsed().as_millis() < 1800, "{:?}", began.elapsed());
    assert_eq!(node.host.links(), Vec::<String>::new());
    assert_eq!(node.notes().len(), 1);
}

#[test]
fn an_agent_that_refuses_is_told_by_a_note() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    node.tell(api::RELEASE, 500, json!({"code": 103, "msg": "disk full"}));
    node.del("c1").ok();
    assert_eq!(node.host.links(), Vec::<String>::new());
    assert_eq!(node.notes().len(), 1);
}

#[test]
fn a_release_that_neither_agent_nor_note_learns_of_is_tried_again() {
    let node = Node::new();
    let config = node.config(json!({"agentSocket": "/dev/null/agent.sock"}));
    node.call(&node.invocation("DEL", "c1", "").config(&config)).fails(11, "no release note can be left");
}
