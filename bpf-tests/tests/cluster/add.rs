//! ADD with the API server: objects that are late, pods of one name, static pods, and what other nodes learn when.

use anyhow::bail;
use bpf_tests::cluster::images::AGNHOST;
use serde_json::json;

use crate::support::{Space, ferrule, nodes};

#[test]
fn a_pods_addresses_are_announced_and_withdrawn_or_posted() {
    let space = Space::new("announce");
    let nodes = nodes();
    let pod = space.pod("web", nodes[1].name(), &[]);
    let object = space.get("pod", "web").expect("the pod");
    let announced = object["metadata"]["annotations"]["ferrule.dev/pod-ips"].as_str().expect("an announcement");
    let own: Vec<String> = pod.ips.iter().map(ToString::to_string).collect();
    assert_eq!(announced, own.join(","));
    let peers = ferrule(&nodes[0], "map dump fr_peers").to_string();
    assert!(own.iter().all(|ip| peers.contains(ip)), "{peers}");
}

#[test]
fn nobody_else_announces_addresses() {
    let space = Space::new("forged");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "forged", "namespace": space.name, "annotations": {"ferrule.dev/pod-ips": "10.244.1.77"},
        },
        "spec": {"containers": [{"name": "main", "image": AGNHOST}]},
    });
    let error = space.cluster.apply(&pod.to_string()).expect_err("it is refused");
    assert!(format!("{error:#}").contains("written by Ferrule's agents alone"), "{error:#}");
    let web = space.pod("web", nodes()[0].name(), &[]);
    let change = space.kubectl(&format!("annotate --overwrite pod {} ferrule.dev/pod-ips=10.244.1.77", web.name));
    assert!(change.is_err_and(|error| format!("{error:#}").contains("written by Ferrule's agents alone")));
    space.kubectl(&format!("label pod {} other=label", web.name)).expect("anything else may change");
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
    let path = node.machine.root().expect("a running node").join("etc/kubernetes/manifests");
    std::fs::create_dir_all(&path).expect("the kubelet's folder");
    let file = path.join("quiet.json");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "quiet", "namespace": space.name, "labels": {"app": "quiet"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "localhost/agnhost:1", "args": ["netexec", "--http-port=8080"]}],
        },
    });
    space.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "quiet"},
        "spec": {"podSelector": {"matchLabels": {"app": "quiet"}}},
    }));
    std::fs::write(&file, pod.to_string()).expect("a manifest");
    let quiet = space.running(&format!("quiet-{}", node.name()));
    let client = space.pod("client", nodes()[1].name(), &[]);
    let refused = space.connects(&client, &format!("{}:8080", quiet.ip(false)));
    std::fs::remove_file(&file).expect("the manifest goes");
    assert!(refused.is_err(), "its policy does not hold");
}

#[test]
fn a_start_taint_that_is_put_on_again_is_taken_off_again() {
    let space = Space::new("taint");
    let node = nodes()[1].name().to_owned();
    space.kubectl(&format!("taint node {node} ferrule.dev/agent-not-ready=:NoSchedule")).expect("it is put on");
    space.until("the taint is taken off", || {
        let taints = space.kubectl(&format!("get node {node} -o jsonpath={{.spec.taints}}"))?;
        if taints.contains("ferrule.dev") { anyhow::bail!("{taints}") } else { Ok(()) }
    });
}
