//! The bench measures everything that it should; what the figures are is nothing for a test.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;
use test_kit::topology::{binary, run};

/// Every scenario's metrics and subjects that must be there.
const EXPECTED: [(&str, &[&str], &[&str]); 17] = [
    (
        "same-node",
        &["tcp_rr", "udp_rr", "tcp_crr", "tcp_stream"],
        &["veth", "veth-control", "bridge", "ptp", "redirect", "ferrule"],
    ),
    ("same-node-redirect", &["tcp_rr", "udp_rr", "tcp_crr", "tcp_stream"], &["ferrule", "ferrule-policy"]),
    (
        "cross-node",
        &["tcp_rr", "udp_rr", "tcp_crr", "tcp_stream"],
        &["flannel-like", "ferrule-vxlan", "ferrule-vxlan-device", "ferrule-native"],
    ),
    (
        "cross-node",
        &["tcp_stream_at_will", "tcp_stream_again"],
        &["flannel-like", "ferrule-vxlan", "ferrule-vxlan-device"],
    ),
    ("services", &["tcp_rr", "udp_rr", "tcp_crr"], &["direct", "service", "service-10k"]),
    ("cni", &["add", "del"], &["bridge", "ptp", "ferrule"]),
    ("cni-parallel", &["add", "del"], &["bridge", "ferrule"]),
    ("programs", &["time"], &["empty", "from_pod", "to_pod"]),
    (
        "programs",
        &["time_vxlan_device", "size_jited"],
        &["from_pod", "to_overlay", "from_overlay", "from_netdev", "to_netdev"],
    ),
    ("programs", &["time_vxlan"], &["from_pod", "from_netdev", "to_netdev"]),
    ("memory", &["agent_rss", "maps"], &["ferrule"]),
    ("memory", &["file_size"], &["ferrule-agent", "ferrule-cni", "ferrule"]),
    ("scale", &["agent_rss", "maps", "start_to_ready"], &["ferrule"]),
    ("policy", &["in_force_p50", "in_force_p99", "source_copy_p50"], &["agent"]),
    ("policy", &["run_100_flows"], &["few", "many"]),
    ("policy", &["tcp_rr"], &["quiet", "churn"]),
    ("policy", &["agent_rss", "maps", "agent_rss_and_maps"], &["ferrule"]),
];

/// The same of an agent that watches an API server.
const WATCHING: [(&str, &[&str], &[&str]); 1] =
    [("kubernetes", &["start_to_synced", "agent_rss", "maps", "cpu_quiet", "cpu_changes"], &["ferrule"])];

/// The same on a cluster.
const CLUSTER: [(&str, &[&str], &[&str]); 2] = [
    ("cluster", &["install_to_ready", "policy_in_force_p99", "address_known_p99"], &["ferrule"]),
    ("cluster", &["sandbox"], &["bridge", "ferrule"]),
];

/// What has no baseline.
const ABSOLUTE: [&str; 3] = ["memory", "scale", "kubernetes"];

/// A quick run's rows, its folder, and what it printed.
fn quick(only: &str, expected: &[(&str, &[&str], &[&str])]) -> (Vec<Value>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("rows.json");
    let mut bench = Command::new(binary("bench").expect("the bench is built"));
    bench.args(["--quick", "--rounds", "1", "--only", only, "--json"]).arg(&json).arg("--report").arg(folder.path());
    let printed = run(&mut bench).expect("the bench runs");

    let rows: Vec<Value> = serde_json::from_str(&fs::read_to_string(&json).expect("rows")).expect("JSON");
    let name = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let keys: BTreeSet<_> =
        rows.iter().map(|row| (name(row, "scenario"), name(row, "metric"), name(row, "subject"))).collect();
    assert_eq!(keys.len(), rows.len(), "a figure is there twice:\n{printed}");
    for (scenario, metrics, subjects) in expected {
        for (metric, subject) in metrics.iter().flat_map(|metric| subjects.iter().map(move |subject| (metric, subject)))
        {
            let key = ((*scenario).to_owned(), (*metric).to_owned(), (*subject).to_owned());
            assert!(keys.contains(&key), "{key:?} is missing:\n{printed}");
        }
    }
    rows.iter().for_each(is_sound);
    (rows, folder)
}

#[test]
fn a_quick_run_has_a_sound_figure_for_everything() {
    let (rows, folder) = quick("same-node,cross-node,services,cni,programs,memory,scale,policy", &EXPECTED);
    let judged = rows.iter().filter(|row| row["met"].is_boolean()).count();
    assert!(judged >= 16, "{judged} figures have a target");

    let report = |file: &str| fs::read_to_string(folder.path().join(file)).expect("a report");
    assert!(report("performance.md").contains("| tcp_rr"), "the report has no table");
    assert!(report("performance.svg").contains("ferrule-native tcp_rr"), "the plot has no rows");
}

#[test]
fn a_quick_run_beside_a_real_api_server_has_them_too() {
    let (rows, _) = quick("kubernetes", &WATCHING);
    assert!(rows.iter().any(|row| row["metric"] == "agent_rss" && row["met"].is_boolean()), "{rows:?}");
}

#[test]
fn a_quick_run_on_a_real_cluster_has_them_too() {
    let (rows, _) = quick("cluster", &CLUSTER);
    assert!(rows.iter().any(|row| row["metric"] == "install_to_ready" && row["met"].is_boolean()), "{rows:?}");
}

#[test]
fn too_few_rounds_are_refused() {
    let error = run(Command::new(binary("bench").expect("the bench is built")).args(["--rounds", "3"])).unwrap_err();
    assert!(error.to_string().contains("--rounds 3"), "{error}");
}

/// Every figure is a positive number; a ratio too, where there is a baseline. Times less an empty program's may be
/// below zero in so short a run.
fn is_sound(row: &Value) {
    let positive = |value: &Value| value.as_f64().is_some_and(|value| value.is_finite() && value > 0.0);
    let beyond_empty = row["unit"] == "ns" && row["value"].as_f64().is_some_and(f64::is_finite);
    // Nothing may have to be sent again.
    let again = row["unit"] == "segments/Gbit";
    assert!(positive(&row["value"]) || beyond_empty || again, "{row}");
    // Of the scenario `policy`, what is measured once and not in rounds.
    let once = row["scenario"] == "policy" && (row["unit"] == "ms" || row["unit"] == "MB")
        || row["scenario"] == "cluster" && row["metric"] != "sandbox";
    let absolute =
        ABSOLUTE.iter().any(|scenario| row["scenario"] == *scenario) || row["unit"] == "bytes" || once || again;
    assert!(if absolute { row["ratio"].is_null() } else { positive(&row["ratio"]) }, "{row}");
    assert!(row["unit"].is_string() && row["baseline"].is_null() == absolute, "{row}");
}
