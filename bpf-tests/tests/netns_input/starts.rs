//! What keeps an agent from starting.

use std::{fs, process::Command};

use anyhow::Context;
use serde_json::Value;
use test_kit::topology::{binary, run, until};

use crate::support::{one_node, refusal, says};

#[test]
fn a_second_agent_on_the_same_state_directory_is_refused_and_the_first_serves_on() {
    let cluster = one_node();
    let node = &cluster.nodes[0];
    node.start().expect("the first agent starts");
    says(&refusal(&cluster, &[]), &["another agent (pid ", "state", "--state-dir"]);
    let socket = node.socket().display().to_string();
    let state = node.folder().join("second").display().to_string();
    says(&refusal(&cluster, &["--socket", &socket, "--state-dir", &state]), &["another agent answers at", "--socket"]);
    node.add("a").expect("the first agent serves");
}

#[test]
fn a_missing_device_is_named() {
    let cluster = one_node();
    says(&refusal(&cluster, &["--devices", "eth0,nope7"]), &["device nope7 does not exist", "--devices"]);
    assert!(
        !cluster.nodes[0].folder().join("other.sock").exists(),
        "nobody shall wait for an agent that did not start"
    );
}

#[test]
fn a_folder_that_is_no_bpf_file_system_is_named() {
    let cluster = one_node();
    let folder = cluster.nodes[0].folder().display().to_string();
    says(&refusal(&cluster, &["--bpffs", &folder]), &["no BPF file system", "mount -t bpf", "--bpffs"]);
}

#[test]
fn a_corrupt_lease_file_is_named_and_left_as_it_is() {
    let cluster = one_node();
    let node = &cluster.nodes[0];
    fs::create_dir_all(node.state()).expect("the folder can be made");
    let file = node.state().join("leases.redb");
    fs::write(&file, "not a database").expect("the file can be written");
    says(&refusal(&cluster, &[]), &["leases.redb", "is damaged", "Restore it"]);
    assert_eq!(fs::read(&file).expect("it is there"), b"not a database");
}

#[test]
fn pinned_maps_of_another_layout_are_named_and_left_as_they_are() {
    let cluster = one_node();
    let node = &cluster.nodes[0];
    node.start().expect("it starts");
    let pod = node.add("a").expect("it serves");
    node.stop().expect("it ends");
    let pin = node.maps().expect("they are pinned").join("fr_peers");
    fs::remove_file(&pin).expect("the pin can be removed");
    let words = "map create PIN type hash key 16 value 4 entries 7 name fr_peers";
    let arguments = words.split(' ').map(|word| if word == "PIN" { pin.display().to_string() } else { word.into() });
    run(Command::new("bpftool").args(arguments)).expect("bpftool makes a map");
    says(&refusal(&cluster, &[]), &["fr_peers", "value size 4", "this agent needs 8", "cleanup"]);
    assert!(pin.exists(), "it was not ours to remove");
    assert!(
        node.netns.links().expect("they are listed").iter().any(|link| link.starts_with("fr")),
        "{pod:?} keeps its link"
    );
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let cluster = one_node();
    says(&refusal(&cluster, &["--mtu", "500"]), &["mtu: 500", "576"]);
    says(&refusal(&cluster, &["--cluster-cidrs", "10.244.3.0/16"]), &["cluster-cidrs", "host bits", "10.244.0.0/16"]);
    says(&refusal(&cluster, &["--log-level", "loud=="]), &["log-level"]);
    says(&refusal(&cluster, &["--log-level", "loud"]), &["log-level", "loud", "info"]);
    let file = cluster.nodes[0].folder().join("agent.toml");
    fs::write(&file, "routing = 'vxlan'\nmtuu = 3\n").expect("the file can be written");
    says(&refusal(&cluster, &["--config", &file.display().to_string()]), &["agent.toml", "mtuu", "line 2"]);
}

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://127.0.0.1:9'}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
";

#[test]
fn without_credentials_an_agent_runs_says_so_and_takes_those_that_come() {
    let cluster = one_node();
    let node = &cluster.nodes[0];
    let file = node.folder().join("late.kubeconfig");
    let mut agent = node.netns.command(binary("ferrule-agent").expect("it was built"));
    agent.args(["run", "--node-name", &node.name]);
    for (flag, path) in [
        ("--socket", node.socket()),
        ("--state-dir", node.state()),
        ("--bpffs", node.pins()),
        ("--cgroup-root", node.cgroup().path().to_owned()),
        ("--kubeconfig", file.clone()),
    ] {
        agent.arg(flag).arg(path);
    }
    let log = fs::File::create(node.folder().join("agent.log")).expect("a log");
    let mut agent = agent.stderr(log).spawn().expect("it starts");
    let problems = || -> anyhow::Result<String> {
        let status: Value = node.ferrule("status")?;
        Ok(status["source"]["problems"].as_array().context("problems")?.iter().map(Value::to_string).collect())
    };
    let says = |what: &str, words: &[&str]| {
        let all = |found: &anyhow::Result<String>| {
            found.as_ref().is_ok_and(|text| words.iter().all(|word| text.contains(word)))
        };
        until(what, problems, all).map(drop)
    };
    let without = says("it says that it has no credentials", &["cannot be asked", "late.kubeconfig"]);
    fs::write(&file, KUBECONFIG).expect("a kubeconfig");
    let with = says("it asks the server that they name", &["cannot be watched"]);
    agent.kill().and_then(|()| agent.wait()).expect("it ends");
    without.and(with).unwrap_or_else(|error| panic!("{error:#}"));
}
