//! podman with its CNI backend: it asks VERSION before it adds, names networks, and fetches nothing here.

use test_kit::cluster::settings::PAUSE;

use crate::support::{lab::Lab, probe};

#[test]
fn a_container_of_podman_reaches_a_pod_and_leaves_nothing() {
    let lab = Lab::start();
    let pod = lab.n2.run("web");
    let (node, machine) = (&lab.n1, &lab.n1.machine);
    machine.space.tool("podman load --input /opt/images/pause.tar");
    let group = format!("/{}/podman", machine.cgroup);
    let id = machine.space.tool(&format!("podman run --detach --name alone --cgroup-parent {group} {}", PAUSE));
    let endpoints = node.ferrule("endpoint list");
    assert_eq!(endpoints[0]["containerId"], id.trim(), "{endpoints}");
    let pid = machine.space.tool("podman inspect --format {{.State.Pid}} alone");
    let container = machine.space.with_network_of(pid.trim().parse().expect("a container has a process"));
    for address in &pod.addresses {
        let seen = container.seen_by(*address, probe::PORT).unwrap();
        assert!(endpoints.to_string().contains(&seen.to_string()), "{seen} is not of {endpoints}");
        container.ping(*address).unwrap();
    }
    machine.space.tool("podman rm --force --time 1 alone");
    node.is_clean();
}
