//! `/metrics` by Prometheus' conventions, with what operators need to see.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::bail;
use serde_json::json;
use test_kit::{cluster::Node, topology::Netns};

use crate::support::{Space, nodes};

fn scraped(node: &Node, accept: &str) -> String {
    let netns = Netns::at(node.name(), node.machine.netns().expect("a running node"));
    let asked = netns.enter(|| -> std::io::Result<String> {
        let mut stream = TcpStream::connect("127.0.0.1:9465")?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: n\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = asked.expect("a namespace").expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("chunked"), "{head}");
    body.to_owned()
}

/// A sample's value, by its name with labels.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

/// What the conventions say of names (<https://prometheus.io/docs/practices/naming/>), as far as a name shows it.
fn assert_conventional(text: &str) {
    let families = |word: &str| -> BTreeSet<(String, String)> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(&format!("# {word} ")));
        lines.filter_map(|line| line.split_once(' ')).map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let (kinds, helps) = (families("TYPE"), families("HELP"));
    assert!(kinds.len() >= 24 && kinds.len() == helps.len(), "{kinds:?}");
    for (name, kind) in &kinds {
        assert!(name.starts_with("ferrule_"), "{name}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        for unit in ["_ms", "_us", "_millis", "_milliseconds", "_percent", "_kb", "_mb", "_minutes"] {
            assert!(!name.ends_with(unit), "{name}");
        }
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
    }
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(kinds.iter().any(|(known, _)| known == name || known == family), "{line}");
    }
}

#[test]
fn metrics_follow_the_conventions_and_say_what_happens() {
    let space = Space::new("metrics");
    let node = &nodes()[0];
    let before = scraped(node, "*/*");
    let count = |text: &str, name: &str| value(text, name).unwrap_or_else(|| panic!("{name}: {text}"));
    let web = space.pod("web", node.name(), &[("app", "web")]);
    let policy = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]});
    space.apply(json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny"}, "spec": policy}));
    let service = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]});
    space.apply(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": service}));
    let other = space.pod("other", node.name(), &[]);
    assert!(space.connects(&other, &format!("{}:8080", web.ip(false))).is_err(), "it is denied");
    space.kubectl("delete pod web other --grace-period=0 --force").expect("a removal");
    space.until("what happened is counted", || {
        let after = scraped(node, "*/*");
        for name in [
            "ferrule_cni_add_duration_seconds_count",
            "ferrule_cni_del_duration_seconds_count",
            "ferrule_policy_in_force_duration_seconds_count",
            "ferrule_service_in_force_duration_seconds_count",
        ] {
            if count(&after, name) <= count(&before, name) {
                bail!("{name}");
            }
        }
        Ok(())
    });
    let after = scraped(node, "*/*");
    assert_conventional(&after);
    assert!(
        after.contains("ferrule_packets_total{program=\"from_pod\",outcome=\"policy-ingress\",dropped=\"true\"}"),
        "{after}"
    );
    for (sample, least) in [
        ("ferrule_ready", 1.0),
        ("ferrule_source_synced", 1.0),
        ("ferrule_source_last_answer_timestamp_seconds", 1.6e9),
        ("ferrule_source_last_sync_timestamp_seconds", 1.6e9),
        ("ferrule_map_max_entries{map=\"fr_conntrack\"}", 1024.0),
        ("ferrule_map_entries{map=\"fr_peers\"}", 1.0),
        ("ferrule_map_entries{map=\"fr_services\"}", 2.0),
    ] {
        assert!(count(&after, sample) >= least, "{sample}: {after}");
    }
    let open = scraped(node, "application/openmetrics-text;version=1.0.0");
    assert!(open.ends_with("# EOF\n") && open.contains("# TYPE ferrule_packets counter"), "{open}");

    promtool(&["check", "metrics"], &after);
}

/// promtool has nothing to say of this text.
fn promtool(arguments: &[&str], text: &str) {
    let Some(promtool) = env::var_os("FERRULE_PROMTOOL") else {
        eprintln!("promtool is not here: this test's own rules are all that was checked");
        return;
    };
    let mut command = Command::new(promtool);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.trim().is_empty(), "promtool: {words}");
}

#[test]
fn alerts_go_by_metrics_that_there_are_and_have_a_remedy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (alerts, docs) = (read("deploy/prometheus/alerts.yaml"), read("docs/operations.md"));
    let names: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(docs.contains(&format!("| `{name}` |")), "docs/operations.md has no remedy for {name}");
    }
    let text = scraped(&nodes()[0], "*/*");
    let expressions = alerts.lines().filter(|line| !line.contains("annotations:") && !line.contains("- name:"));
    for word in expressions.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')) {
        if let Some(family) = word.strip_prefix("ferrule_").map(|_| word.trim_end_matches("_bucket")) {
            assert!(text.contains(&format!("# TYPE {family} ")), "no metric is called {family}");
        }
    }
    let file = root.join("deploy/prometheus/alerts.yaml").display().to_string();
    promtool(&["check", "rules", &file], "");
}
