//! ADD: what is in the pod and on the host afterwards, and what is not after a failure.

use ferrule_api::plugin as api;
use serde_json::json;

use crate::support::{
    agent::{DIES, Families},
    netns::Netns,
    node::{Node, id},
};

#[test]
fn a_pod_is_reachable_the_moment_add_returns() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let result = node.add("c1", &pod).ok();
    let host = api::host_ifname("c1", "eth0");
    let addresses: Vec<_> =
        result["ips"].as_array().unwrap().iter().map(|ip| ip["address"].as_str().unwrap()).collect();
    let (v4, v6) = (addresses[0].strip_suffix("/32").unwrap(), addresses[1].strip_suffix("/128").unwrap());

    // The agent's half of the work.
    node.host.ip(&format!("route add {v4}/32 dev {host}"));
    node.host.ip(&format!("-6 route add {v6}/128 dev {host}"));
    node.host.ip("addr add 10.99.0.1/32 dev lo");
    node.host.ip("link set lo up");
    node.host.set_sysctl(&format!("net/ipv4/conf/{host}/proxy_arp"), "0");
    assert!(node.host.pings(v4), "{}", node.host.ip("-s link"));
    assert!(node.host.pings(v6), "{}", node.host.ip("-6 route"));
    assert!(pod.pings("10.99.0.1"), "{}", pod.ip("route"));
    assert!(pod.pings("fe80::1%eth0"), "{}", pod.ip("-6 route"));
    assert!(pod.pings("127.0.0.1"), "loopback is up");
}

#[test]
fn the_pods_side_is_as_the_agent_reserved_it() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    let show = pod.ip("addr show eth0");
    assert!(show.contains("mtu 1450") && show.contains("link/ether 02:fe:00:00:01:"), "{show}");
    assert!(show.contains("inet 10.77.0.") && show.contains("inet6 fd77::"), "{show}");
    assert!(!show.contains("tentative"), "{show}");
    let routes = pod.ip("route");
    assert!(routes.contains("default via 169.254.1.1 dev eth0") && routes.contains("onlink"), "{routes}");
    assert!(routes.contains("169.254.1.1 dev eth0 scope link"), "{routes}");
    let routes = pod.ip("-6 route");
    assert!(routes.contains("default via fe80::1 dev eth0") && routes.contains("fe80::1 dev eth0"), "{routes}");
    let neighbours = pod.ip("neigh show");
    for gateway in ["169.254.1.1", "fe80::1"] {
        assert!(neighbours.contains(&format!("{gateway} dev eth0 lladdr 02:fe:00:00:00:01 PERMANENT")), "{neighbours}");
    }
    assert_eq!(pod.sysctl("net/ipv6/conf/eth0/accept_ra"), "0");
}

#[test]
fn the_host_side_has_the_gateways_mac_and_refuses_routers() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    let host = api::host_ifname("c1", "eth0");
    let show = node.host.ip(&format!("-d addr show {host}"));
    assert!(show.contains("mtu 1450") && show.contains("link/ether 02:fe:00:00:00:01"), "{show}");
    assert!(show.contains("inet6 fe80::1/64") && !show.contains("tentative"), "{show}");
    assert_eq!(show.matches("inet").count(), 1, "{show}");
    for setting in ["accept_ra", "accept_dad"] {
        assert_eq!(node.host.sysctl(&format!("net/ipv6/conf/{host}/{setting}")), "0");
    }
    let active = node.state().active[&id("c1", "eth0")];
    assert!(node.host.ip(&format!("-o link show {host}")).starts_with(&format!("{active}: ")));
}

#[test]
fn only_the_families_that_the_agent_gave_are_made() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.state().families = Families::V4;
    let result = node.add("c1", &pod).ok();
    assert_eq!(result["ips"].as_array().unwrap().len(), 1);
    assert!(!pod.ip("-6 route").contains("default"));
    assert_eq!(node.host.ip(&format!("-6 addr show {}", api::host_ifname("c1", "eth0"))), "");
    let second = Netns::new("pod");
    node.state().families = Families::V6;
    node.add("c2", &second).ok();
    assert_eq!(second.ip("route"), "");
}

#[test]
fn ipv6_is_enabled_where_the_runtime_disabled_it() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    for scope in ["all", "default"] {
        pod.set_sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    node.add("c1", &pod).ok();
    assert!(pod.ip("addr show eth0").contains("inet6 fd77::"));
}

#[test]
fn ipv4_alone_works_where_ipv6_is_disabled() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.state().families = Families::V4;
    for netns in [&pod, &node.host] {
        netns.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1");
        netns.set_sysctl("net/ipv6/conf/default/disable_ipv6", "1");
    }
    node.add("c1", &pod).ok();
    assert_eq!(pod.ip("-6 addr show eth0"), "");
}

#[test]
fn an_existing_interface_is_an_error_and_stays() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    pod.ip("link add eth0 type veth peer name other");
    let before = pod.ip("-o link show eth0");
    node.add("c1", &pod).fails(104, "eth0 already");
    assert_eq!(pod.ip("-o link show eth0"), before);
    assert!(node.asked(api::RESERVE).is_empty(), "nothing was reserved");
    node.is_clean();
}

#[test]
fn a_second_add_is_an_error_and_harms_nothing() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    let before = (pod.ip("addr"), node.host.links());
    node.add("c1", &pod).fails(104, "eth0 already");
    let elsewhere = Netns::new("pod");
    node.add("c1", &elsewhere).fails(104, "exists");
    assert_eq!((pod.ip("addr"), node.host.links()), before);
    assert!(node.state().leases.contains_key(&id("c1", "eth0")));
    assert_eq!(elsewhere.links(), Vec::<String>::new());
    node.del("c1").ok();
    node.is_clean();
}

#[test]
fn an_add_that_finds_its_host_side_taken_leaves_the_lease_to_whom_it_belongs() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.host.ip(&format!("link add {} type veth peer name other", api::host_ifname("c1", "eth0")));
    node.add("c1", &pod).fails(101, "make the veth");
    assert!(node.asked(api::RELEASE).is_empty());
    node.del("c1").ok();
    node.is_clean();
}

#[test]
fn a_netns_that_is_none_is_refused() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let with = |netns: &str| node.call(&node.invocation("ADD", "c1", netns));
    with("/var/run/netns/nowhere").fails(8, "cannot be opened");
    with("/proc/999999/ns/net").fails(8, "cannot be opened");
    with("/etc/hostname").fails(8, "is not a network namespace");
    with(&node.host.path()).fails(8, "that the plugin runs in");
    node.is_clean();
    drop(pod);
}

#[test]
fn a_process_netns_serves_as_well_as_a_named_one() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let mut sleeper = pod.command("sleep").arg("60").spawn().unwrap();
    let path = format!("/proc/{}/ns/net", sleeper.id());
    let entered = || std::fs::read_link(&path).ok() != std::fs::read_link("/proc/self/ns/net").ok();
    while !entered() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let result = node.call(&node.invocation("ADD", "c1", &path)).ok();
    assert_eq!(result["interfaces"][1]["sandbox"], path);
    assert_eq!(pod.links(), ["eth0"]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

#[test]
fn a_container_can_have_several_interfaces() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let first = node.add("c1", &pod).ok();
    let second = node.call(&node.invocation("ADD", "c1", &pod.path()).with("CNI_IFNAME", "net1")).ok();
    assert_eq!(pod.links(), ["eth0", "net1"]);
    assert_ne!(first["ips"][0]["address"], second["ips"][0]["address"]);
    let address = second["ips"][0]["address"].as_str().unwrap().strip_suffix("/32").unwrap();
    let way = pod.ip(&format!("route get 192.0.2.1 from {address}"));
    assert!(way.contains("dev net1"), "its own source leaves through it: {way}");
    assert!(pod.ip("route get 192.0.2.1").contains("dev eth0"), "the first keeps the default route");
    node.call(&node.invocation("DEL", "c1", "").with("CNI_IFNAME", "net1")).ok();
    assert_eq!(pod.links(), ["eth0"]);
    assert!(node.state().leases.contains_key(&id("c1", "eth0")));
}

#[test]
fn what_the_agent_refuses_reaches_the_caller_with_its_code() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.tell(api::RESERVE, 503, json!({"code": 100, "msg": "pod CIDR is used up", "details": "256 of 256"}));
    let ended = node.add("c1", &pod);
    ended.fails(100, "pod CIDR is used up");
    assert!(ended.stdout.contains("256 of 256"));
    assert_eq!(pod.links(), Vec::<String>::new());
    node.is_clean();
}

#[test]
fn a_failing_activation_is_undone() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.tell(api::ACTIVATE, 500, json!({"code": 101, "msg": "no filter"}));
    node.add("c1", &pod).fails(101, "no filter");
    assert_eq!(pod.links(), Vec::<String>::new());
    assert_eq!(node.asked(api::RELEASE).len(), 1);
    node.is_clean();
}

#[test]
fn an_answer_that_makes_no_veth_is_undone() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.tell(
        api::RESERVE,
        200,
        json!({"host_ifname": "fr0", "host_mac": "x", "pod_mac": "y", "mtu": 1500, "addresses": []}),
    );
    node.add("c1", &pod).fails(103, "no address");
    node.tell(api::RESERVE, 200, json!({"unexpected": true}));
    node.add("c1", &pod).fails(103, "cannot be read");
    node.tell(api::RESERVE, 500, json!("not an error object"));
    node.add("c1", &pod).fails(103, "cannot be read");
    assert_eq!(node.asked(api::RELEASE).len(), 3);
    node.is_clean();
}

#[test]
fn add_waits_for_an_agent_that_restarts() {
    let (mut node, pod) = (Node::new(), Netns::new("pod"));
    node.stop_agent();
    let child = node.spawn(&node.invocation("ADD", "c1", &pod.path()));
    std::thread::sleep(std::time::Duration::from_millis(700));
    node.start_agent();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(pod.links(), ["eth0"]);
}

#[test]
fn an_agent_that_dies_over_a_request_is_asked_again() {
    for path in [api::RESERVE, api::ACTIVATE] {
        let (node, pod) = (Node::new(), Netns::new("pod"));
        node.tell(path, DIES, json!(null));
        node.add("c1", &pod).ok();
        assert_eq!(node.asked(path).len(), 2);
    }
}

#[test]
fn add_gives_up_an_agent_that_stays_away() {
    let (mut node, pod) = (Node::new(), Netns::new("pod"));
    node.stop_agent();
    let began = std::time::Instant::now();
    node.add("c1", &pod).fails(11, "the agent is not running");
    let took = began.elapsed().as_secs();
    assert!((19..30).contains(&took), "{took} s");
    assert_eq!(pod.links(), Vec::<String>::new());
}

#[test]
fn parallel_adds_do_not_disturb_each_other() {
    let node = Node::new();
    let pods: Vec<_> = (0..12).map(|_| Netns::new("pod")).collect();
    let children: Vec<_> = pods
        .iter()
        .enumerate()
        .map(|(number, pod)| node.spawn(&node.invocation("ADD", &format!("c{number}"), &pod.path())))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert!(pods.iter().all(|pod| pod.links() == ["eth0"]));
    assert_eq!(node.host.links().len(), 12);
    assert_eq!(node.log().len(), 12);
}

#[test]
fn the_log_has_a_line_a_call() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    node.add("c1", &pod).ok();
    node.add("c1", &pod).error();
    node.del("c1").ok();
    let log = node.log();
    let commands: Vec<_> = log.iter().map(|line| line["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["ADD", "ADD", "DEL"]);
    assert!(log[0]["result"]["ips"].is_array() && log[1]["error"]["code"] == 104, "{log:?}");
    assert!(log.iter().all(|line| line["container_id"] == "c1" && line["ifname"] == "eth0"));
    assert!(log.iter().all(|line| line["milliseconds"].as_f64().unwrap() > 0.0 && line["time"].is_string()));
}

#[test]
fn a_log_that_cannot_be_opened_fails_nothing() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let config = node.config(json!({"logFile": "/proc/nowhere/cni.log"}));
    node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).ok();
}
