//! A delegated IPAM plugin: the real host-local, and ones that misbehave.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::{
    netns::Netns,
    node::{Ended, Node},
};

/// Writes a plugin as a shell script; the folder that it is in.
pub fn script(node: &Node, name: &str, body: &str) -> PathBuf {
    let folder = node.folder.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    folder
}

fn host_local(node: &Node) -> Value {
    assert!(
        std::path::Path::new("/usr/lib/cni/host-local").exists(),
        "install the reference plugins: apt-get install containernetworking-plugins"
    );
    node.config(json!({"ipam": {
        "type": "host-local",
        "dataDir": node.folder.path().join("ipam"),
        "ranges": [[{"subnet": "10.55.0.0/24"}], [{"subnet": "fd55::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.200.0.0/16"}],
    }}))
}

fn held(node: &Node) -> usize {
    let folder = std::fs::read_dir(node.folder.path().join("ipam/pods"));
    folder
        .into_iter()
        .flatten()
        .flatten()
        .filter(|file| file.file_name().to_string_lossy().starts_with(['1', 'f']))
        .count()
}

#[test]
fn host_locals_addresses_are_the_pods() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let config = host_local(&node);
    let add = node.invocation("ADD", "c1", &pod.path()).config(&config);
    let result = node.call(&add).ok();
    assert_eq!(node.asked(api::RESERVE)[0]["delegated_ips"], json!(["10.55.0.2", "fd55::2"]));
    assert_eq!(
        (&result["ips"][0]["address"], &result["ips"][0]["gateway"]),
        (&json!("10.55.0.2/32"), &json!("169.254.1.1"))
    );
    assert_eq!(result["routes"].as_array().unwrap().last().unwrap(), &json!({"dst": "10.200.0.0/16"}));
    assert_eq!(held(&node), 2);

    let mut checked = config.clone();
    checked["prevResult"] = result;
    node.call(&add.clone().with("CNI_COMMAND", "CHECK").config(&checked)).ok();
    node.call(&add.with("CNI_COMMAND", "DEL").with("CNI_NETNS", "")).ok();
    assert_eq!(held(&node), 0);
    node.is_clean();
}

#[test]
fn a_later_failure_gives_host_locals_addresses_back() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let add = node.invocation("ADD", "c1", &pod.path()).config(&host_local(&node));
    node.tell(api::RESERVE, 409, json!({"code": 100, "msg": "another attachment holds 10.55.0.2"}));
    node.call(&add).fails(100, "another attachment holds");
    assert_eq!(held(&node), 0);
    node.state().answers.clear();
    node.tell(api::ACTIVATE, 500, json!({"code": 101, "msg": "no filter"}));
    node.call(&add).fails(101, "no filter");
    assert_eq!(held(&node), 0);
    node.is_clean();
}

/// ADD with an IPAM plugin of this body, which also counts its DELs.
fn with_script(body: &str) -> (Node, Ended, usize) {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let count = "[ $CNI_COMMAND = DEL ] && echo del >> $(dirname $0)/deleted && exit 0";
    let folder = script(&node, "mine", &format!("{count}\n{body}"));
    let config = node.config(json!({"ipam": {"type": "mine"}}));
    let add = node.invocation("ADD", "c1", &pod.path()).with("CNI_PATH", &format!("/nowhere:{}", folder.display()));
    let ended = node.call(&add.config(&config));
    assert_eq!(pod.links(), Vec::<String>::new());
    let deleted = std::fs::read_to_string(folder.join("deleted")).unwrap_or_default().lines().count();
    (node, ended, deleted)
}

#[test]
fn a_plugin_that_fails_is_undone_and_its_error_passed_on() {
    let (node, ended, deleted) =
        with_script(r#"echo '{"cniVersion":"1.0.0","code":123,"msg":"no more","details":"at all"}'; exit 1"#);
    ended.fails(123, "the IPAM plugin mine failed: no more");
    assert!(ended.stdout.contains("at all"));
    assert_eq!((deleted, node.asked(api::RESERVE).len()), (1, 0));
}

#[test]
fn plugins_that_misbehave_are_errors() {
    for (body, code, words) in [
        ("echo '{\"cniVersion\":\"1.0.0\",\"ips\":[]}'", 100, "gave no address"),
        ("echo nonsense; exit 3", 103, "exit status: 3"),
        ("echo nonsense", 103, "cannot be read"),
        ("kill -9 $$", 103, "signal: 9"),
    ] {
        let (node, ended, deleted) = with_script(body);
        ended.fails(code, words);
        assert_eq!(deleted, 1, "{body}");
        node.is_clean();
    }
}

#[test]
fn a_missing_plugin_is_named_before_anything_is_made() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let config = node.config(json!({"ipam": {"type": "not-there"}}));
    node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).fails(7, "not-there");
    assert_eq!(node.state().requests.len(), 0);
}

#[test]
fn a_failing_ipam_del_does_not_keep_the_rest() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    let folder = script(&node, "mine", "echo '{\"code\":99,\"msg\":\"busy\"}'; exit 1");
    let config = node.config(json!({"ipam": {"type": "mine"}}));
    let del = node.invocation("DEL", "c1", "").with("CNI_PATH", folder.to_str().unwrap()).config(&config);
    node.call(&del).fails(99, "busy");
    node.is_clean();
}

#[test]
fn the_plugin_gets_the_whole_configuration_and_no_file_descriptor_of_ours() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let body = "cat > $(dirname $0)/config; ls -l /proc/self/fd > $(dirname $0)/fds; \
                echo '{\"cniVersion\":\"1.0.0\",\"ips\":[{\"address\":\"10.55.0.9/24\"}]}'";
    let folder = script(&node, "mine", body);
    let config = node.config(json!({"ipam": {"type": "mine"}, "unknown": {"kept": "x".repeat(1 << 20)}}));
    let add = node.invocation("ADD", "c1", &pod.path()).with("CNI_PATH", folder.to_str().unwrap()).config(&config);
    node.call(&add).ok();
    let seen: Value = serde_json::from_slice(&std::fs::read(folder.join("config")).unwrap()).unwrap();
    assert!(seen == config);
    let descriptors = std::fs::read_to_string(folder.join("fds")).unwrap();
    assert!(descriptors.contains("pipe:"), "{descriptors}");
    for ours in ["socket:", "net:[", "cni.log", "netns"] {
        assert!(!descriptors.contains(ours), "{ours}: {descriptors}");
    }
}

#[test]
fn status_asks_the_ipam_plugin_too() {
    let node = Node::new();
    let folder = script(&node, "mine", "echo '{\"code\":50,\"msg\":\"pool server is away\"}'; exit 1");
    let config = node.config(json!({"cniVersion": "1.1.0", "ipam": {"type": "mine"}}));
    let call = node.invocation("STATUS", "", "").with("CNI_PATH", folder.to_str().unwrap()).config(&config);
    node.call(&call).fails(50, "pool server is away");
}
