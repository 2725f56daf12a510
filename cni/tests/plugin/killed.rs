//! ADD killed at each of its steps: a DEL without netns and prevResult cleans all.

use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::{
    netns::Netns,
    node::{Invocation, Node},
};

/// Starts an ADD, waits until `reached`, kills it, DELs, and expects a clean node.
fn check(node: &Node, add: &Invocation, pod: &Netns, reached: impl Fn() -> bool) {
    let mut child = node.spawn(add);
    let until = Instant::now() + Duration::from_secs(10);
    while !reached() {
        assert!(Instant::now() < until, "ADD never came to the step");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    node.state().answers.clear();
    let mut del = add.clone().with("CNI_COMMAND", "DEL").with("CNI_NETNS", "");
    del.config.clone_from(&add.config);
    node.call(&del).ok();
    assert_eq!(pod.links(), Vec::<String>::new());
    node.is_clean();
}

#[test]
fn killed_while_it_reserves() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.tell(api::RESERVE, 0, Value::Null);
    check(&node, &node.invocation("ADD", "c1", &pod.path()), &pod, || !node.asked(api::RESERVE).is_empty());
}

#[test]
fn killed_while_it_activates() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.tell(api::ACTIVATE, 0, Value::Null);
    check(&node, &node.invocation("ADD", "c1", &pod.path()), &pod, || !node.asked(api::ACTIVATE).is_empty());
}

#[test]
fn killed_while_the_ipam_plugin_works() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let (plugin, began) = (node.folder.path().join("slow"), node.folder.path().join("began"));
    let script = format!("#!/bin/sh\n[ $CNI_COMMAND = DEL ] && exit 0\ntouch {}\nexec sleep 3\n", began.display());
    std::fs::write(&plugin, script).unwrap();
    std::fs::set_permissions(&plugin, PermissionsExt::from_mode(0o755)).unwrap();
    let config = node.config(json!({"ipam": {"type": "slow"}}));
    let add = node.invocation("ADD", "c1", &pod.path()).config(&config);
    let add = add.with("CNI_PATH", node.folder.path().to_str().unwrap());
    check(&node, &add, &pod, || began.exists());
}

#[test]
fn killed_at_any_moment() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    for step in 0..40 {
        let add = node.invocation("ADD", &format!("c{step}"), &pod.path());
        let began = Instant::now();
        check(&node, &add, &pod, || began.elapsed() > Duration::from_micros(500 * step));
    }
}
