//! Many pods, and nothing that is left of them.

use anyhow::bail;
use serde_json::{Value, json};

use crate::support::{Space, ferrule, nodes};

/// What a node holds for its pods.
fn held(node: &test_kit::cluster::Node) -> Vec<(String, usize)> {
    let lists = [
        "ip list",
        "endpoint list",
        "map dump fr_endpoints",
        "map dump fr_links",
        "map dump fr_sources",
        "map dump fr_ep_state",
        "map dump fr_peers",
        "map dump fr_classes",
        "map dump fr_policy",
        "map dump fr_tables",
    ];
    let count = |value: Value| value.as_array().map_or(0, Vec::len);
    let mut all: Vec<(String, usize)> =
        lists.iter().map(|list| ((*list).to_owned(), count(ferrule(node, list)))).collect();
    let links = node.machine.run("ip -o link show type veth").unwrap_or_default();
    all.push(("links".into(), links.lines().count()));
    for family in ["-4", "-6"] {
        let routes = node.machine.run(&format!("ip {family} route show")).unwrap_or_default();
        all.push((format!("routes {family}"), routes.lines().filter(|line| line.contains(" dev fr")).count()));
    }
    let pins = node.machine.run("find /sys/fs/bpf/ferrule").unwrap_or_default();
    all.push(("pins".into(), pins.lines().count()));
    all
}

#[test]
fn sixty_pods_come_and_go_and_leave_nothing() {
    let space = Space::new("churn");
    let nodes = nodes();
    space.alone();
    space.until("other tests' policies are gone", || {
        let left: Vec<Value> = nodes.iter().map(|node| ferrule(node, "map dump fr_policy")).collect();
        if left.iter().all(|left| *left == json!([])) { Ok(()) } else { bail!("{left:?}") }
    });
    let before: Vec<_> = nodes.iter().map(held).collect();
    // Tables and classes come with the pods, and go with them.
    space.apply(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "many"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "many"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "many"}}}], "ports": [{"port": 80}]}],
        },
    }));
    space.apply(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many"},
        "spec": {
            "replicas": 60, "selector": {"matchLabels": {"app": "many"}},
            "template": {
                "metadata": {"labels": {"app": "many"}},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "main", "image": "localhost/pause:1"}],
                },
            },
        },
    }));
    space.rolled_out("deployment/many");
    let added: usize = nodes.iter().zip(&before).map(|(node, before)| held(node)[0].1 - before[0].1).sum();
    assert_eq!(added, 120, "two addresses for each of sixty pods");
    assert!(nodes.iter().any(|node| ferrule(node, "map dump fr_policy") != json!([])), "the policy is in no map");
    space.kubectl("scale deployment many --replicas=0").expect("a scale");
    space.until("nothing is left", || {
        let after: Vec<_> = nodes.iter().map(held).collect();
        if after == before { Ok(()) } else { bail!("{after:?}, and before {before:?}") }
    });
}
