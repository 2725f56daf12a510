//! STATUS, VERSION, and a call by hand.

use std::{
    process::Stdio,
    time::{Duration, Instant, SystemTime},
};

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::node::{Ended, Node};

fn status(node: &Node) -> Ended {
    let config = node.config(json!({"cniVersion": "1.1.0"}));
    node.call(&node.invocation("STATUS", "", "").config(&config))
}

fn beat(node: &Node, seconds_ago: u64) {
    let file = std::fs::File::create(api::heartbeat(&node.socket())).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds_ago)).unwrap();
}

#[test]
fn status_is_what_the_agent_says() {
    let node = Node::new();
    let ended = status(&node);
    ended.ok();
    assert_eq!(ended.stdout, "");
    node.tell(api::STATUS, 200, json!({"ready": false, "datapath": true, "message": "no pod CIDR"}));
    status(&node).fails(50, "no pod CIDR");
    node.tell(api::STATUS, 200, json!({"ready": false, "datapath": false, "message": "programs are gone"}));
    status(&node).fails(51, "programs are gone");
}

#[test]
fn an_agent_may_be_away_for_a_minute() {
    let mut node = Node::new();
    node.stop_agent();
    status(&node).fails(50, "since the node started");
    beat(&node, 30);
    status(&node).ok();
    beat(&node, 90);
    status(&node).fails(50, "not running");
    node.start_agent();
    status(&node).ok();
}

#[test]
fn status_came_with_1_1_0() {
    let node = Node::new();
    node.call(&node.invocation("STATUS", "", "")).fails(1, "STATUS needs cniVersion 1.1.0");
}

#[test]
fn version_minds_nothing_but_stdin() {
    let node = Node::new();
    let call = node
        .invocation("VERSION", "", "dummy")
        .with("CNI_IFNAME", "a/b")
        .with("CNI_ARGS", "dummy")
        .with("CNI_PATH", "dummy");
    let result = node.call(&call.clone().config(&json!({"cniVersion": "0.4.0"}))).ok();
    let supported = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    assert_eq!(result, json!({"cniVersion": "0.4.0", "supportedVersions": supported}));
    let mut garbage = call;
    garbage.config = b"garbage".to_vec();
    assert_eq!(node.call(&garbage).ok()["cniVersion"], "1.1.0");
}

#[test]
fn version_answers_where_nobody_closes_its_stdin() {
    let node = Node::new();
    let began = Instant::now();
    let call = node.invocation("VERSION", "", "");
    let mut child = node.command(&call).stdin(Stdio::piped()).spawn().unwrap();
    let held_open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    drop(held_open);
    assert!(output.status.success() && began.elapsed() < Duration::from_secs(2));
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["cniVersion"], "1.1.0");
}

#[test]
fn a_call_by_hand_tells_what_the_binary_is() {
    let node = Node::new();
    let ended = node.call(&node.invocation("", "", ""));
    assert!(ended.success && ended.stdout.is_empty());
    assert!(ended.stderr.contains("CNI plugin of Ferrule") && ended.stderr.contains("0.3.0, 0.3.1"), "{ended:?}");
    assert!(node.call(&node.invocation("ADD", "", "").without("CNI_COMMAND")).success);
}
