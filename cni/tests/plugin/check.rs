//! CHECK: right at once after ADD, and wrong after any damage.

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::{
    netns::Netns,
    node::{Ended, Node},
};

fn added() -> (Node, Netns, Value) {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let config = node.config(json!({"cniVersion": "1.1.0"}));
    let result = node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).ok();
    (node, pod, result)
}

fn ask(node: &Node, pod: &Netns, result: &Value) -> Ended {
    let config = node.config(json!({"cniVersion": "1.1.0", "prevResult": result}));
    node.call(&node.invocation("CHECK", "c1", &pod.path()).config(&config))
}

#[test]
fn check_is_right_at_once_after_add() {
    let (node, pod, result) = added();
    assert_eq!(ask(&node, &pod, &result).ok(), Value::Null);
    let asked = &node.asked(api::CHECK)[0];
    assert_eq!(asked["addresses"].as_array().unwrap().len(), 2);
    assert_eq!(asked["netns"], pod.path());
}

#[test]
fn a_second_interface_is_whole_with_its_own_table() {
    let (node, pod, _) = added();
    let config = node.config(json!({"cniVersion": "1.1.0"}));
    let add = node.invocation("ADD", "c1", &pod.path()).with("CNI_IFNAME", "net1").config(&config);
    let result = node.call(&add).ok();
    let config = node.config(json!({"cniVersion": "1.1.0", "prevResult": result}));
    node.call(&add.with("CNI_COMMAND", "CHECK").config(&config)).ok();
}

#[test]
fn each_damage_is_named() {
    let damages = [
        ("link set eth0 down", "it is down"),
        ("link set eth0 address 02:00:00:00:00:99", "its MAC is"),
        ("link set eth0 mtu 1400", "its MTU is 1400, not 1450"),
        ("addr flush dev eth0 scope global", "it lost the address"),
        ("route del default", "it lost the default route through 169.254.1.1"),
        ("-6 route del default", "it lost the default route through fe80::1"),
        ("route del 169.254.1.1", "it lost the route to its gateway 169.254.1.1"),
        ("neigh del 169.254.1.1 dev eth0", "it lost the neighbour entry of its gateway 169.254.1.1"),
        (
            "neigh replace fe80::1 dev eth0 lladdr 02:00:00:00:00:98",
            "the neighbour entry of its gateway fe80::1 is another",
        ),
        ("link del eth0", "the interface is gone"),
    ];
    for (damage, words) in damages {
        let (node, pod, result) = added();
        pod.ip(damage);
        ask(&node, &pod, &result).fails(102, words);
    }
}

#[test]
fn another_kind_of_interface_in_its_place_is_damage() {
    let (node, pod, result) = added();
    pod.ip("link del eth0");
    pod.ip("link add eth0 type bridge");
    ask(&node, &pod, &result).fails(102, "not veth");
}

#[test]
fn what_the_agent_finds_damaged_fails_check() {
    let (node, pod, result) = added();
    node.tell(api::CHECK, 500, json!({"code": 102, "msg": "map entry 10.77.0.5 is gone"}));
    ask(&node, &pod, &result).fails(102, "map entry 10.77.0.5 is gone");
}

#[test]
fn check_needs_a_prev_result_that_names_the_interface() {
    let (node, pod, result) = added();
    let config = node.config(json!({"cniVersion": "1.1.0"}));
    node.call(&node.invocation("CHECK", "c1", &pod.path()).config(&config)).fails(7, "CHECK needs prevResult");
    ask(&node, &pod, &json!({"interfaces": []})).fails(102, "prevResult has no such interface");
    let config = node.config(json!({"cniVersion": "0.3.1", "prevResult": result}));
    node.call(&node.invocation("CHECK", "c1", &pod.path()).config(&config)).fails(1, "CHECK needs cniVersion 0.4.0");
    let gone = node
        .config(json!({"cniVersion": "1.1.0", "prevResult": {"interfaces": [{"name": "eth0", "sandbox": "/gone"}],
        "ips": [{"interface": 0, "address": "10.0.0.1/32"}]}}));
    node.call(&node.invocation("CHECK", "c1", "/gone").config(&gone)).fails(8, "cannot be opened");
}
