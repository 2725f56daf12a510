//! What real callers send, and what nobody should.

use ferrule_api::plugin as api;
use serde_json::{Value, json};

use crate::support::{netns::Netns, node::Node};

#[test]
fn one_error_names_all_variables_that_miss() {
    let node = Node::new();
    let bare = |command: &str| {
        let call = node.invocation(command, "", "");
        ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"].into_iter().fold(call, |call, name| call.without(name))
    };
    node.call(&bare("ADD")).fails(4, "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME");
    node.call(&bare("CHECK")).fails(4, "CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME");
    node.call(&bare("DEL")).fails(4, "CNI_CONTAINERID, CNI_IFNAME");
    node.call(&node.invocation("NONSENSE", "c1", "")).fails(4, "NONSENSE");
    node.call(&node.invocation("ADD", "c/1", "/x")).fails(4, "CNI_CONTAINERID");
    node.call(&node.invocation("ADD", "c1", "/x").with("CNI_IFNAME", "sixteen-letters-")).fails(4, "CNI_IFNAME");
}

#[test]
fn configurations_that_cannot_be_used_have_the_specs_codes() {
    let node = Node::new();
    let with = |config: &str| {
        let mut call = node.invocation("ADD", "c1", "/x");
        call.config = config.as_bytes().to_vec();
        node.call(&call)
    };
    for config in ["", "{", "not json", "{\"cniVersion\": \"1.0.0\","] {
        with(config).fails(6, "not JSON");
    }
    with("{}").fails(1, "cniVersion is missing");
    with(r#"{"cniVersion":"0.2.0","name":"n"}"#).fails(1, "0.2.0");
    with(r#"{"cniVersion":"2.0.0","name":"n"}"#).fails(1, "2.0.0");
    with(r#"{"cniVersion":"1.0.0"}"#).fails(7, "name");
    with(r#"{"cniVersion":"1.0.0","name":"a b"}"#).fails(7, "name");
    with(r#"{"cniVersion":"1.0.0","name":"n","runtimeConfig":{"mac":"x"}}"#).fails(7, "runtimeConfig.mac");
    assert_eq!(node.state().requests.len(), 0);
}

#[test]
fn a_socket_that_can_be_none_is_refused_at_once_and_named() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let add = |socket: &str| {
        let began = std::time::Instant::now();
        let ended =
            node.call(&node.invocation("ADD", "c1", &pod.path()).config(&node.config(json!({"agentSocket": socket}))));
        assert!(began.elapsed() < std::time::Duration::from_secs(5), "it took {:?}", began.elapsed());
        ended
    };
    add("/usr").fails(7, "agentSocket /usr is a folder and not a socket");
    add("/proc/version").fails(7, "agentSocket /proc/version is a file and not a socket");
    add(&format!("/{}", "a".repeat(107))).fails(7, "agentSocket must be an absolute path of at most 107 bytes");
}

#[test]
fn an_error_says_the_configurations_version() {
    let node = Node::new();
    for (version, expected) in [("0.4.0", "0.4.0"), ("9.0.0", "1.1.0")] {
        let ended = node.call(&node.invocation("ADD", "c1", "/x").config(&node.config(json!({"cniVersion": version}))));
        assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap()["cniVersion"], expected);
    }
}

#[test]
fn the_pod_and_its_wishes_reach_the_agent() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let wishes = json!({"runtimeConfig": {"ips": ["10.77.9.9/24", "fd77::99"], "Mac": "02:AA:00:00:00:01"}});
    let result = node.call(&node.invocation("ADD", "c1", &pod.path()).config(&node.config(wishes))).ok();
    let asked = &node.asked(api::RESERVE)[0];
    assert_eq!(asked["pod"], json!({"namespace": "shop", "name": "web", "uid": "u1"}));
    assert_eq!((&asked["network"], &asked["netns"]), (&json!("pods"), &json!(pod.path())));
    assert_eq!(asked["requested_ips"], json!(["10.77.9.9", "fd77::99"]));
    assert_eq!(result["interfaces"][1]["mac"], "02:aa:00:00:00:01");
    assert_eq!(result["ips"][0]["address"], "10.77.9.9/32");
    assert!(pod.ip("link show eth0").contains("02:aa:00:00:00:01"));
}

#[test]
fn podmans_arguments_reach_the_agent() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let call = node.invocation("ADD", "c1", &pod.path());
    node.call(&call.with("CNI_ARGS", "IP=10.77.9.8;X=a=b;MAC=02:aa:00:00:00:02;IgnoreUnknown=1")).ok();
    let asked = &node.asked(api::RESERVE)[0];
    assert_eq!((&asked["pod"], &asked["requested_ips"]), (&Value::Null, &json!(["10.77.9.8"])));
    assert_eq!(asked["mac"], "02:aa:00:00:00:02");
    node.call(&node.invocation("ADD", "c2", &pod.path()).with("CNI_ARGS", "nonsense")).fails(4, "nonsense");
}

#[test]
fn containerds_configuration_works() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let runtime = json!({
        "portMappings": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}],
        "bandwidth": {"IngressRate": 0, "IngressBurst": 4_294_967_295_u64, "EgressRate": 0, "EgressBurst": 0},
        "dns": {"Servers": ["10.0.0.2"], "Searches": ["a.b"], "Options": []},
        "io.kubernetes.cri.pod-annotations": null,
        "cgroupPath": "/kubepods/x",
    });
    let config = node.config(json!({"capabilities": {"dns": true}, "runtimeConfig": runtime, "unknown": {"kept": 1}}));
    let result = node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).ok();
    assert_eq!(result["dns"], json!({"nameservers": ["10.0.0.2"], "search": ["a.b"]}));
}

#[test]
fn limits_reach_the_agent_with_what_the_configuration_list_says_of_their_plugin() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let folder = tempfile::tempdir().unwrap();
    let bandwidth =
        json!({"IngressRate": 1000, "IngressBurst": 0, "EgressRate": 2000, "EgressBurst": 4_294_967_295_u64});
    let wishes = json!({"runtimeConfig": {"bandwidth": bandwidth}, "configDir": folder.path()});
    let config = node.config(wishes);
    let file = folder.path().join("05.conflist");
    let list = |plugins: Value| std::fs::write(&file, json!({"name": "pods", "plugins": plugins}).to_string()).unwrap();
    for (number, shaper) in [json!("unknown"), json!("nobody"), json!({"chained": file})].into_iter().enumerate() {
        match number {
            1 => list(json!([{"type": "ferrule-cni"}])),
            2 => list(json!([{"type": "ferrule-cni"}, {"type": "bandwidth"}])),
            _ => {}
        }
        node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).ok();
        node.call(&node.invocation("DEL", "c1", &pod.path()).config(&config)).ok();
        let asked = &node.asked(api::RESERVE)[number];
        assert_eq!((&asked["shaped"], &asked["shaper"]), (&json!(true), &shaper));
        let limits =
            json!({"ingress_rate": 1000, "ingress_burst": 0, "egress_rate": 2000, "egress_burst": 4_294_967_295_u64});
        assert_eq!(asked["bandwidth"], limits);
    }
}

#[test]
fn a_mebibyte_of_configuration_is_read_to_the_end() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let config = node.config(json!({"padding": "x".repeat(1 << 20)}));
    node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).ok();
    node.call(&node.invocation("DEL", "c1", &pod.path()).config(&config)).ok();
    node.is_clean();
}
