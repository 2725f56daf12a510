//! Who reaches whom: pods and nodes, both families.

use std::net::IpAddr;

use test_kit::{
    cluster::settings::internal_ips,
    topology::Netns,
    traffic::{Echo, Protocol, probe},
};

use crate::support::{Pod, Space, nodes};

#[test]
fn every_pod_and_node_reaches_every_pod_and_every_node_its_pods() {
    let space = Space::new("matrix");
    let nodes = nodes();
    let pods: Vec<Pod> = nodes
        .iter()
        .flat_map(|node| ["a", "b"].map(|name| space.pod(&format!("{name}-{}", node.name()), node.name(), &[])))
        .collect();
    let echoes: Vec<Echo> = pods.iter().map(|pod| Echo::start(&pod.netns, &pod.ips).expect("an echo server")).collect();
    let hosts: Vec<(Netns, [IpAddr; 2])> = nodes
        .iter()
        .map(|node| {
            let netns = Netns::at(node.name(), node.machine.netns().expect("a running node"));
            (netns, internal_ips(node.number).map(|ip| ip.parse().expect("an address")))
        })
        .collect();
    let mut failures = Vec::new();
    for pod in &pods {
        let from_pods = pods.iter().map(|from| &from.netns);
        for from in from_pods.chain(hosts.iter().map(|(netns, _)| netns)) {
            for (ip, protocol) in pod.ips.iter().flat_map(|ip| Protocol::ALL.map(|protocol| (*ip, protocol))) {
                failures.extend(probe(from, ip, protocol).err().map(|error| format!("{error:#}")));
            }
        }
        for ip in hosts.iter().flat_map(|(_, ips)| ips) {
            failures.extend(probe(&pod.netns, *ip, Protocol::Icmp).err().map(|error| format!("{error:#}")));
        }
    }
    drop(echoes);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn containers_of_a_pod_share_localhost() {
    let space = Space::new("localhost");
    let node = &nodes()[0];
    let pod = space.pod("web", node.name(), &[]);
    space.connects(&pod, "127.0.0.1:8080").expect("IPv4");
    space.connects(&pod, "[::1]:8080").expect("IPv6");
}
