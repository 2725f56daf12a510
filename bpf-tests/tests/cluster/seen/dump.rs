//! `ferrule sysdump`: what a bug report needs is in it, and no secret.

use std::{fs, process::Command};

use serde_json::{Value, json};
use test_kit::cluster::process::run;

use crate::support::{Space, nodes};

/// Planted wherever an object has room for one.
const SECRET: &str = "do-not-tell-anybody";

fn plant(space: &Space) {
    let note = json!({"note": SECRET});
    for object in [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}, "stringData": {"key": SECRET}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}, "data": {"key": SECRET}}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "annotations": note},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web", "annotations": note},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}},
        }),
    ] {
        space.apply(object);
    }
    space.kubectl(&format!("annotate namespace {} note={SECRET}", space.name)).expect("an annotation");
    space.kubectl(&format!("annotate node n1 ferrule-test-note={SECRET} --overwrite")).expect("an annotation");
}

#[test]
fn a_dump_holds_what_a_bug_report_needs_and_no_secret() {
    let space = Space::new("dump");
    let nodes = nodes();
    plant(&space);
    let more = json!({
        "metadata": {"annotations": {"note": SECRET}},
        "spec": {"containers": [{"env": [{"name": "PASSWORD", "value": SECRET}], "command": ["/agnhost"]}]},
    });
    for (node, name) in nodes.iter().zip(["web", "web-of-another-node"]) {
        let serve = ["netexec", "--udp-port=8081", "--http-port=8080"];
        space.create(name, node.name(), &[("app", "web")], &serve, more.clone());
    }
    let web = space.running("web");
    space.running("web-of-another-node");

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("dump.tar");
    let told =
        run(space.cluster.control.ferrule().expect("ferrule").arg("sysdump").arg("--file").arg(&file)).expect("a dump");
    assert!(told.contains("files"), "{told}");
    run(Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(folder.path())).expect("a tar");
    let root = folder.path().join("ferrule-sysdump");
    let text =
        |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}: {told}"));
    let value =
        |path: &str| -> Value { serde_json::from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}")) };

    for node in &nodes {
        let own = |file: &str| format!("nodes/{}/{file}", node.name());
        assert_eq!(value(&own("status.json"))["node"], node.name());
        assert!(value(&own("endpoints.json")).as_array().is_some_and(|list| !list.is_empty()));
        assert!(value(&own("maps/fr_peers.json")).as_array().is_some_and(|list| !list.is_empty()));
        assert!(value(&own("doctor.json")).as_array().is_some_and(|list| !list.is_empty()));
        let checks = value(&own("preflight.json"));
        assert!(checks.as_array().is_some_and(|all| all.iter().all(|one| one["verdict"] != "fails")), "{checks}");
        assert!(text(&own("links.txt")).contains("ferrule-vxlan"), "{}", own("links.txt"));
        assert!(text(&own("routes.txt")).lines().count() > 5);
        assert!(text(&own("agent.toml")).contains("api-server"));
        assert!(text(&own("cni-config.txt")).contains("ferrule-cni"));
        assert!(text(&own("agent.log")).contains("the programs are loaded"), "{}", text(&own("agent.log")));
        assert!(text(&own("version.txt")).contains("Linux version"));
    }
    for (kind, name) in [
        ("pods", "web"),
        ("services", "web"),
        ("networkpolicies", "web"),
        ("nodes", "n1"),
        ("namespaces", space.name.as_str()),
    ] {
        let list = value(&format!("cluster/{kind}.json"));
        let found = list.as_array().into_iter().flatten().find(|one| one["metadata"]["name"] == name);
        assert!(found.is_some(), "{kind} {name}");
    }
    assert!(text("cluster/pods.json").contains(&web.ip(true).to_string()));
    assert!(value("cluster/endpointslices.json").as_array().is_some_and(|list| !list.is_empty()));
    assert!(!root.join("problems.txt").exists(), "{}", text("problems.txt"));

    let bytes = fs::read(&file).expect("the dump");
    let holds = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
    // Tokens, keys, certificates and what was planted.
    for word in [SECRET, "PASSWORD", "eyJhbGci", "-----BEGIN", "client-key"] {
        assert!(!holds(word), "{word}");
    }
    space.kubectl("annotate node n1 ferrule-test-note-").expect("the annotation goes");
}

#[test]
fn a_node_dumps_its_own_part_without_the_api_server() {
    let node = &nodes()[0];
    node.ferrule("sysdump --node-only --file /run/ferrule-dump.tar").expect("a dump");
    let list = node.machine.run("tar -tf /run/ferrule-dump.tar").expect("a tar");
    node.machine.run("rm /run/ferrule-dump.tar").expect("it goes");
    for file in ["status.json", "maps/fr_endpoints.json", "links.txt"] {
        assert!(list.contains(&format!("ferrule-sysdump/{file}\n")), "{list}");
    }
    assert!(!list.contains("cluster/"), "{list}");
}
