//! ADD, CHECK and DEL behind another plugin of the chain, which made the interface.

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::{
    netns::Netns,
    node::{Ended, Node, id},
};

/// A node and a container with the veth of another plugin.
struct Chain {
    node: Node,
    pod: Netns,
}

impl Chain {
    fn new() -> Self {
        let chain = Self { node: Node::new(), pod: Netns::new("pod") };
        chain.node.host.ip(&format!("link add veth9 mtu 1420 type veth peer name eth0 netns {}", chain.pod.name));
        chain
    }

    /// What the other plugin reported, in the newest version.
    fn previous(&self) -> Value {
        json!({
            "cniVersion": "1.1.0",
            "interfaces": [{"name": "cni0"}, {"name": "veth9"}, {"name": "eth0", "sandbox": self.pod.path(), "mtu": 1420}],
            "ips": [{"interface": 2, "address": "10.55.0.7/24", "gateway": "10.55.0.1"}, {"address": "fd55::7/64", "interface": 2}],
            "routes": [{"dst": "0.0.0.0/0", "gw": "10.55.0.1"}],
            "dns": {"nameservers": ["10.55.0.1"]},
        })
    }

    fn call(&self, command: &str, config: Value) -> Ended {
        let config = self.node.config(config);
        self.node.call(&self.node.invocation(command, "c1", &self.pod.path()).config(&config))
    }

    fn add(&self, previous: &Value) -> Ended {
        self.call("ADD", json!({"cniVersion": "1.1.0", "prevResult": previous}))
    }

    /// That the other plugin's interface is untouched.
    fn is_left_alone(&self) {
        assert_eq!((self.node.host.links(), self.pod.links()), (vec!["veth9".into()], vec!["eth0".into()]));
    }

    fn is_clean(&self) {
        let state = self.node.state();
        assert!(state.leases.is_empty() && state.active.is_empty(), "{state:#?}");
        drop(state);
        self.is_left_alone();
    }
}

#[test]
fn the_agent_is_told_the_host_side_and_the_result_is_passed_on() {
    let chain = Chain::new();
    assert_eq!(chain.add(&chain.previous()).ok(), chain.previous());
    let asked = &chain.node.asked(api::RESERVE)[0];
    assert_eq!(asked["delegated_ips"], json!(["10.55.0.7", "fd55::7"]));
    assert_eq!((&asked["enforce_only"]["name"], &asked["enforce_only"]["mtu"]), (&json!("veth9"), &json!(1420)));
    assert_eq!(asked["pod"]["name"], "web");
    let mac = |netns: &Netns, link: &str| {
        netns.ip(&format!("-br link show {link}")).split_whitespace().nth(2).map(str::to_owned)
    };
    assert_eq!(asked["mac"].as_str().map(str::to_owned), mac(&chain.pod, "eth0"));
    assert_eq!(asked["enforce_only"]["mac"].as_str().map(str::to_owned), mac(&chain.node.host, "veth9"));
    let index: u64 = chain.node.host.ip("-o link show veth9").split(':').next().unwrap().parse().unwrap();
    assert_eq!(chain.node.asked(api::ACTIVATE)[0]["host_ifindex"], index);
    chain.is_left_alone();
}

#[test]
fn each_version_gets_the_result_in_its_own_form() {
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let chain = Chain::new();
        let result = chain.call("ADD", json!({"cniVersion": version, "prevResult": chain.previous()})).ok();
        assert_eq!(result["cniVersion"], version);
        assert_eq!(result["interfaces"][2]["mtu"], if version == "1.1.0" { json!(1420) } else { Value::Null });
        assert_eq!(result["ips"][0]["version"], if version < "1" { json!("4") } else { Value::Null });
    }
}

#[test]
fn a_prev_result_whose_addresses_name_no_interface_will_do() {
    let chain = Chain::new();
    let mut previous = chain.previous();
    previous["ips"][0].as_object_mut().unwrap().remove("interface");
    chain.add(&previous).ok();
    assert_eq!(chain.node.asked(api::RESERVE)[0]["delegated_ips"], json!(["10.55.0.7", "fd55::7"]));
}

#[test]
fn del_leaves_the_link_to_the_plugin_that_made_it() {
    let chain = Chain::new();
    chain.add(&chain.previous()).ok();
    for netns in [chain.pod.path(), chain.pod.path(), String::new()] {
        let config = chain.node.config(json!({"prevResult": chain.previous()}));
        chain.node.call(&chain.node.invocation("DEL", "c1", &netns).config(&config)).ok();
        chain.is_clean();
    }
    chain.node.host.ip("link del veth9");
    chain.call("DEL", json!({})).ok();
}

#[test]
fn del_without_an_agent_leaves_a_note_and_the_link() {
    let mut chain = Chain::new();
    chain.add(&chain.previous()).ok();
    chain.node.stop_agent();
    chain.call("DEL", json!({"prevResult": chain.previous()})).ok();
    assert_eq!(chain.node.notes(), [serde_json::to_value(api::ReleaseRequest { id: id("c1", "eth0") }).unwrap()]);
    chain.is_left_alone();
}

#[test]
fn check_asks_the_agent_and_looks_where_the_host_side_leads() {
    let chain = Chain::new();
    chain.add(&chain.previous()).ok();
    let check = || chain.call("CHECK", json!({"cniVersion": "1.1.0", "prevResult": chain.previous()}));
    check().ok();
    assert_eq!(chain.node.asked(api::CHECK)[0]["addresses"], json!(["10.55.0.7", "fd55::7"]));
    chain.node.tell(api::CHECK, 500, json!({"code": 102, "msg": "from_pod is not attached to veth9"}));
    check().fails(102, "from_pod is not attached");
    chain.pod.ip("link del eth0");
    check().fails(101, "prevResult holds the interface eth0");
}

#[test]
fn another_kind_of_interface_is_named_and_nothing_is_held() {
    let chain = Chain::new();
    chain.pod.ip("link del eth0");
    chain.pod.ip("link add eth0 type bridge");
    chain.add(&chain.previous()).fails(2, "is of kind \"bridge\", not veth");
    assert_eq!(chain.node.state().requests.len(), 0);
}

#[test]
fn a_host_side_in_another_network_namespace_is_refused() {
    let chain = Chain::new();
    let elsewhere = Netns::new("elsewhere");
    // A veth of the node's with the same index, whose other side has the same index too.
    let index =
        |netns: &Netns, link: &str| netns.ip(&format!("-o link show {link}")).split(':').next().unwrap().to_owned();
    let (host, pod) = (index(&chain.node.host, "veth9"), index(&chain.pod, "eth0"));
    chain.node.host.ip(&format!("link set veth9 netns {}", elsewhere.name));
    let third = Netns::new("third");
    third.ip(&format!(
        "link add eth0 index {pod} type veth peer name veth9 index {host} netns {}",
        chain.node.host.name
    ));
    chain.add(&chain.previous()).fails(101, "is not in the network namespace that the plugin runs in");
    assert_eq!(chain.node.state().requests.len(), 0);
}

#[test]
fn what_cannot_be_enforced_is_said_before_anything_is_asked() {
    let chain = Chain::new();
    let mut previous = chain.previous();
    previous["ips"] = json!([]);
    chain.add(&previous).fails(2, "prevResult gives its interface eth0 no address");
    let ipam = json!({"cniVersion": "1.1.0", "prevResult": chain.previous(), "ipam": {"type": "host-local"}});
    chain.call("ADD", ipam).fails(7, "take `ipam` out");
    assert_eq!(chain.node.state().requests.len(), 0);
    chain.is_clean();
}

#[test]
fn an_agent_that_refuses_or_fails_leaves_the_link_and_nothing_else() {
    let chain = Chain::new();
    chain.node.tell(api::ACTIVATE, 500, json!({"code": 101, "msg": "the map is full"}));
    chain.add(&chain.previous()).fails(101, "the map is full");
    chain.is_clean();
    assert_eq!(chain.node.asked(api::RELEASE).len(), 1);
    chain.node.tell(api::RESERVE, 409, json!({"code": 100, "msg": "10.55.0.7 is taken"}));
    chain.add(&chain.previous()).fails(100, "10.55.0.7 is taken");
    assert_eq!(chain.node.asked(api::RELEASE).len(), 1, "a refusal may speak of another's lease");
}

#[test]
fn an_older_agent_is_named_and_gives_its_lease_back() {
    let chain = Chain::new();
    chain.node.state().is_older = true;
    chain.add(&chain.previous()).fails(103, "the agent is older than this ferrule-cni");
    chain.is_clean();
}
