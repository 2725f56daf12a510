//! `ctr run --cni`: a container without a pod. Its id is `default-NAME`, `CNI_ARGS` are empty, and the network namespace
//! is `/proc/PID/ns/net`.

use crate::support::{image, lab::Lab, probe};

#[test]
fn a_container_of_ctr_reaches_a_pod_and_leaves_nothing() {
    let lab = Lab::start();
    let pod = lab.n2.run("web");
    let (node, machine) = (&lab.n1, &lab.n1.machine);
    machine.space.tool("ctr images import /opt/images/pause.tar");
    machine.space.tool(&format!("ctr run --detach --cni --cgroup /{}/alone {} alone", machine.cgroup, image::PAUSE));
    let endpoints = node.ferrule("endpoint list");
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
    machine.space.tool("ctr tasks delete alone");
    machine.space.tool("ctr containers delete alone");
    node.is_clean();
}
