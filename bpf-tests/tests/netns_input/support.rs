//! Agents that are expected not to start, and pods that are expected not to be added.

use std::{
    io::Read,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use test_kit::topology::{Cluster, Layout, Node, Pod, Prefix, binary};

/// One node on an underlay; its agent does not run.
pub fn one_node() -> Cluster {
    Cluster::prepare(Prefix::of_a_test(), &Layout { nodes: 1, ..Layout::default() }).expect("the topology can be made")
}

/// What the agent says when it is run with these flags beyond the node's own; fails where it goes on.
pub fn refusal(cluster: &Cluster, extra: &[&str]) -> String {
    let node = &cluster.nodes[0];
    let mut command = node.netns.command(binary("ferrule-agent").expect("it was built"));
    command.args(["run", "--node-name", &node.name]);
    for (flag, path) in [
        ("--socket", node.folder().join("other.sock")),
        ("--state-dir", node.state()),
        ("--bpffs", node.pins()),
        ("--cgroup-root", node.cgroup().path().to_owned()),
        ("--manifests", cluster.manifests.folder().to_owned()),
    ] {
        if !extra.contains(&flag) {
            command.arg(flag).arg(path);
        }
    }
    let mut child = command
        .args(extra)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the agent can be started");
    let status = ended(&mut child).unwrap_or_else(|| {
        child.kill().expect("it runs");
        panic!("the agent runs where it should have refused to");
    });
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("it is text");
    assert!(!status.success(), "{status}: {said}");
    said
}

fn ended(child: &mut Child) -> Option<std::process::ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if let Some(status) = child.try_wait().expect("it is our child") {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Every part stands in the text.
#[track_caller]
pub fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// The plugin's refusal to add a pod.
#[track_caller]
pub fn not_added(result: anyhow::Result<Pod>) -> String {
    match result {
        Ok(pod) => panic!("{} was added with {:?}", pod.name, pod.addresses),
        Err(error) => format!("{error:#}"),
    }
}

/// The agent's issues, once one of them says this.
#[track_caller]
pub fn issue(node: &Node, part: &str) -> String {
    let ask =
        || node.ferrule("status").map_or_else(|error| format!("{error:#}"), |status| status["issues"].to_string());
    test_kit::topology::until(part, ask, |issues| issues.contains(part)).expect("the agent says so")
}

/// Starts the agent without waiting for readiness, which it cannot reach, and gives what an ADD is told.
pub fn without_node(node: &Node) -> String {
    // Its readiness does not come; what it said until then is not asked for.
    let started = std::thread::scope(|scope| {
        let start = scope.spawn(|| node.start().map_err(|error| format!("{error:#}")));
        let answer = test_kit::topology::until("the agent's socket", || node.ferrule("status").is_ok(), |up| *up)
            .map(|_| not_added(node.add("b")));
        (answer, start.join().expect("it does not panic"))
    });
    assert!(started.1.is_err(), "a node without its object is not ready");
    started.0.expect("the agent answers")
}
