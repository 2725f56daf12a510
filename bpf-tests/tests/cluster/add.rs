//! ADD with the API server: objects that are late, pods of one name, static pods, and what other nodes learn when.

use std::{io::Write, net::SocketAddr, process::Stdio};

use anyhow::{bail, ensure};
use serde_json::json;
use test_kit::{
    cluster::Node,
    traffic::{Echo, Protocol, probe},
};

use crate::support::{
    Pod, Space, StaticPod,
    agent::{kubectl, rolled_out, signal, synced},
    ferrule, nodes,
};

#[test]
fn a_pods_addresses_are_announced_and_withdrawn_or_posted() {
    let space = Space::new("announce");
    let nodes = nodes();
    let pod = space.pod("web", nodes[1].name(), &[]);
    let object = space.get("pod", "web").expect("the pod");
    let announced = object["metadata"]["annotations"]["ferrule.dev/pod-ips"].as_str().expect("an announcement");
    let own: Vec<String> = pod.ips.iter().map(ToString::to_string).collect();
    let uid = object["metadata"]["uid"].as_str().expect("a uid");
    assert_eq!(announced, format!("{uid}/{}", own.join(",")));
    let peers = ferrule(&nodes[0], "map dump fr_peers").to_string();
    assert!(own.iter().all(|ip| peers.contains(ip)), "{peers}");
}

#[test]
fn a_pod_that_ends_is_announced_no_more() {
    let space = Space::new("ends");
    space.create("job", nodes()[1].name(), &[], &["pause"], json!({"spec": {"activeDeadlineSeconds": 3}}));
    let annotation = |object: &serde_json::Value| object["metadata"]["annotations"]["ferrule.dev/pod-ips"].clone();
    space.until("its addresses are announced", || {
        let object = space.get("pod", "job")?;
        ensure!(annotation(&object).is_string(), "{object}");
        Ok(())
    });
    space.until("it has ended, and they are withdrawn", || {
        let object = space.get("pod", "job")?;
        ensure!(object["status"]["phase"] == "Failed" && annotation(&object).is_null(), "{object}");
        Ok(())
    });
}

#[test]
fn nobody_else_announces_addresses() {
    let space = Space::new("forged");
    let forged = "10.244.1.77";
    // As a copy of another pod's object has it, which `kubectl debug --copy-to` makes, or a backup.
    space.apply(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "copy", "annotations": {"ferrule.dev/pod-ips": format!("some-other-uid/{forged}")}},
        "spec": {"nodeName": nodes()[1].name(), "containers": [{"name": "main", "image": "localhost/missing:1"}]},
    }));
    let web = space.pod("web", nodes()[0].name(), &[]);
    let peers = ferrule(&nodes()[0], "map dump fr_peers").to_string();
    assert!(!peers.contains(forged), "{peers}");
    let own = space.get("pod", "web").expect("a pod")["metadata"]["uid"].clone();
    let value = format!("{}/{forged}", own.as_str().expect("a uid"));
    let change = space.kubectl(&format!("annotate --overwrite pod {} ferrule.dev/pod-ips={value}", web.name));
    assert!(change.is_err_and(|error| format!("{error:#}").contains("written by Ferrule's agents alone")));
    space.kubectl(&format!("label pod {} other=label", web.name)).expect("anything else may change");
}

#[test]
fn a_condition_that_another_controller_sets_is_put_right() {
    let space = Space::new("condition");
    let node = &nodes()[1];
    let condition = || -> anyhow::Result<String> {
        let node = space.get("node", node.name())?;
        let all = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let own = all.iter().find(|one| one["type"] == "NetworkUnavailable").cloned();
        Ok(own.unwrap_or_default()["status"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(condition().expect("a condition"), "False");
    // An agent that has started looks often at first.
    kubectl(
        &space,
        &format!(
            "-n kube-system delete pod -l app.kubernetes.io/name=ferrule --field-selector spec.nodeName={}",
            node.name()
        ),
    )
    .expect("its agent goes");
    rolled_out(&space);
    synced(&space, node);
    let patch =
        r#"{"status":{"conditions":[{"type":"NetworkUnavailable","status":"True","reason":"NoRouteCreated"}]}}"#;
    space
        .kubectl(&format!("patch node {} --subresource=status --type=strategic -p {patch}", node.name()))
        .expect("a patch");
    space.until("the condition is False again", || {
        let found = condition()?;
        ensure!(found == "False", "{found}");
        Ok(())
    });
}

#[test]
fn pods_of_a_stateful_set_are_recreated_under_their_names() {
    let space = Space::new("stateful");
    space.apply(json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {
            "replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "main", "image": "localhost/agnhost:1", "args": ["netexec", "--http-port=8080"]}],
                },
            },
        },
    }));
    space.rolled_out("statefulset/db");
    for _ in 0..3 {
        let before = space.get("pod", "db-0").expect("a pod")["metadata"]["uid"].clone();
        space.kubectl("delete pod db-0 --wait=false --grace-period=0 --force").expect("a removal");
        space.until("db-0 is another one", || {
            let after = space.get("pod", "db-0")?["metadata"]["uid"].clone();
            if after == before { bail!("still {before}") } else { Ok(()) }
        });
        let (db, other) = (space.running("db-0"), space.running("db-1"));
        space.connects(&other, &format!("{}:8080", db.ip(false))).expect("the new one is reached");
    }
}

#[test]
fn a_static_pod_is_known_by_its_mirror() {
    let space = Space::new("static");
    let node = &nodes()[0];
    space.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "quiet"},
        "spec": {"podSelector": {"matchLabels": {"app": "quiet"}}},
    }));
    let from_file = StaticPod::start(&space, node, "quiet");
    let quiet = from_file.running(&space);
    let client = space.pod("client", nodes()[1].name(), &[]);
    let to = format!("{}:8080", quiet.ip(false));
    let refused = space.connects(&client, &to);
    // It serves, and the policy alone stands between.
    space.kubectl("delete networkpolicy quiet").expect("the policy goes");
    space.until("it is reached without the policy", || space.connects(&client, &to));
    drop(from_file);
    assert!(refused.is_err(), "its policy does not hold");
}

#[test]
fn a_start_taint_that_is_put_on_again_is_taken_off_again() {
    let space = Space::new("taint");
    let node = nodes()[1].name().to_owned();
    space.kubectl(&format!("taint node {node} ferrule.dev/agent-not-ready=:NoSchedule")).expect("it is put on");
    space.until("the taint is taken off", || {
        let taints = space.kubectl(&format!("get node {node} -o jsonpath={{.spec.taints}}"))?;
        if taints.contains("ferrule.dev") { bail!("{taints}") } else { Ok(()) }
    });
}

#[test]
fn labels_that_change_while_an_add_runs_count_as_they_are_at_its_end() {
    let space = Space::new("relabel");
    let nodes = nodes();
    space.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"},
        "spec": {"podSelector": {"matchLabels": {"app": "vault"}}},
    }));
    let client = space.pod("client", nodes[0].name(), &[]);
    // The plugin waits for an agent that stands still.
    signal(&nodes[1], "STOP");
    let serve = ["netexec", "--http-port=8080"];
    space.create("closes", nodes[1].name(), &[("app", "web")], &serve, json!({}));
    space.create("opens", nodes[1].name(), &[("app", "vault")], &serve, json!({}));
    let running = || -> anyhow::Result<()> {
        let plugins = nodes[1].machine.run("pgrep -c -x ferrule-cni")?;
        ensure!(plugins.trim() == "2", "{plugins}");
        Ok(())
    };
    let begun = test_kit::cluster::process::wait("both ADDs run", std::time::Duration::from_secs(20), running);
    space.kubectl("label pod closes app=vault --overwrite").expect("a label");
    space.kubectl("label pod opens app=web --overwrite").expect("a label");
    signal(&nodes[1], "CONT");
    begun.expect("both ADDs run");
    let (closes, opens) = (space.running("closes"), space.running("opens"));
    for v6 in [false, true] {
        let at = |pod: &Pod| SocketAddr::new(pod.ip(v6), 8080).to_string();
        assert!(space.connects(&client, &at(&closes)).is_err(), "its label of before counts");
        space.until("the other one is open", || space.connects(&client, &at(&opens)));
    }
}

#[test]
fn a_del_that_comes_late_takes_nothing_from_a_younger_pod_of_its_name() {
    let space = Space::new("late-del");
    let nodes = nodes();
    let client = space.pod("client", nodes[0].name(), &[]);
    let name = format!("{}/db-0", space.name);
    let served = |node: &Node| -> Vec<(String, String)> {
        let endpoints = ferrule(node, "endpoint list");
        let own = endpoints.as_array().into_iter().flatten().filter(|one| one["pod"] == name.as_str());
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        own.map(|one| (text(&one["containerId"]), text(&one["netns"]))).collect()
    };
    let reached = |pod: &Pod| {
        let echo = Echo::start(&pod.netns, &pod.ips).expect("an echo server");
        for ip in &pod.ips {
            space.until("it is reached", || probe(&client.netns, *ip, Protocol::Tcp).map(drop));
        }
        drop(echo);
    };
    // On another node: the kubelet of the former one is away while its pod goes.
    let old = space.pod("db-0", nodes[0].name(), &[]);
    nodes[0].kill_kubelet().expect("it is killed");
    space.kubectl("delete pod db-0 --grace-period=0 --force").expect("a removal");
    let new = space.pod("db-0", nodes[1].name(), &[]);
    assert_eq!(served(&nodes[0]).len(), 1, "the former one's network is there until its DEL");
    reached(&new);
    nodes[0].start_kubelet().expect("it starts");
    space.until("the DEL has come", || if served(&nodes[0]).is_empty() { Ok(()) } else { bail!("it has not") });
    reached(&new);
    let peers = ferrule(&nodes[0], "map dump fr_peers").to_string();
    assert!(new.ips.iter().all(|ip| peers.contains(&format!("\"{ip}\""))), "{peers}");
    assert!(old.ips.iter().all(|ip| !peers.contains(&format!("\"{ip}\""))), "{peers}");
    // On the same node: the former one's DEL comes again, as runtimes do.
    let before = served(&nodes[1]);
    space.kubectl("delete pod db-0 --grace-period=0 --force").expect("a removal");
    let newest = space.pod("db-0", nodes[1].name(), &[]);
    del(&nodes[1], &before[0]);
    let after = served(&nodes[1]);
    assert!(after.len() == 1 && after != before, "{after:?}, before {before:?}");
    reached(&newest);
}

/// Calls the plugin as a runtime does, for a container that has gone.
fn del(node: &Node, (container, netns): &(String, String)) {
    let mut plugin = node.machine.command("/opt/cni/bin/ferrule-cni");
    let variables = [
        ("CNI_COMMAND", "DEL"),
        ("CNI_CONTAINERID", container),
        ("CNI_NETNS", netns),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/opt/cni/bin"),
    ];
    let mut plugin = plugin.envs(variables).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the plugin");
    let config = json!({"cniVersion": "1.0.0", "name": "ferrule", "type": "ferrule-cni"}).to_string();
    plugin.stdin.take().expect("a pipe").write_all(config.as_bytes()).expect("it reads");
    let output = plugin.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
