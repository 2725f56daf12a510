//! `ctr run --cni`: a container without a pod. Its id is `default-NAME`, `CNI_ARGS` are empty, and the network namespace
//! is `/proc/PID/ns/net`.

use test_kit::cluster::settings::PAUSE;

use crate::support::{
    lab::Lab,
    node::START,
    probe,
    tool::{wait, words},
};

#[test]
fn a_container_of_ctr_reaches_a_pod_and_leaves_nothing() {
    let lab = Lab::start();
    let pod = lab.n2.run("web");
    let (node, machine) = (&lab.n1, &lab.n1.machine);
    machine.space.tool("ctr images import /opt/images/pause.tar");
    // In the foreground: `ctr` removes the network only of a container whose end it waits for.
    let group = format!("/{}/alone", machine.cgroup);
    let mut ctr = node.spawn(&mut words(&format!("ctr run --rm --cni --cgroup {group} {} alone", PAUSE)));
    let endpoints = wait("the container has a network", START, || {
        let endpoints = node.ferrule("endpoint list");
        if endpoints[0]["state"] == "active" { Ok(endpoints) } else { Err(endpoints) }
    });
    assert_eq!(endpoints[0]["containerId"], "default-alone", "{endpoints}");
    assert!(endpoints[0]["pod"].is_null(), "no pod was named: {endpoints}");
    let tasks = machine.space.tool("ctr tasks list");
    let line = tasks.lines().find(|line| line.starts_with("alone")).unwrap_or_else(|| panic!("no task:\n{tasks}"));
    let pid = line.split_whitespace().nth(1).and_then(|pid| pid.parse().ok()).expect("a task has a process");
    let container = machine.space.with_network_of(pid);
    for address in &pod.addresses {
        let seen = container.seen_by(*address, probe::PORT).unwrap();
        assert!(endpoints.to_string().contains(&seen.to_string()), "{seen} is not of {endpoints}");
        container.ping(*address).unwrap();
    }
    machine.space.tool("ctr tasks kill alone");
    let status = ctr.wait().unwrap();
    assert!(status.success(), "ctr run: {status}");
    assert_eq!(node.calls("DEL", "default-alone").len(), 1, "ctr asks for one DEL");
    node.is_clean();
}
