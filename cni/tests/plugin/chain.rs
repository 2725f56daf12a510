//! ADD behind other plugins of a chain.

use serde_json::{Value, json};

use crate::support::{netns::Netns, node::Node};

#[test]
fn what_others_made_is_kept_and_ours_is_appended() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let previous = json!({
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "br0", "mac": "02:00:00:00:00:01"}, {"name": "net9", "sandbox": pod.path(), "mtu": 9000, "color": "red"}],
        "ips": [{"interface": 1, "address": "192.168.7.9/24", "gateway": "192.168.7.1", "x": 1}],
        "routes": [{"dst": "192.168.0.0/16", "gw": "192.168.7.1", "table": 77}],
        "dns": {"nameservers": ["192.168.7.1"]},
        "extra": {"kept": true},
    });
    let config =
        node.config(json!({"cniVersion": "1.1.0", "prevResult": previous, "dns": {"nameservers": ["10.0.0.2"]}}));
    let result = node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).ok();
    for key in ["interfaces", "ips", "routes"] {
        let (before, after) = (previous[key].as_array().unwrap(), result[key].as_array().unwrap());
        assert_eq!(&after[..before.len()], &before[..], "{key}");
        assert!(after.len() > before.len(), "{key}");
    }
    assert_eq!((&result["dns"], &result["extra"]), (&previous["dns"], &previous["extra"]));
    let ours: Vec<_> =
        result["ips"].as_array().unwrap()[1..].iter().map(|ip| ip["interface"].as_u64().unwrap()).collect();
    assert_eq!(ours, [3, 3]);
    assert_eq!(result["interfaces"][3]["name"], "eth0");
}

#[test]
fn a_prev_result_that_cannot_be_read_is_an_error_before_anything_is_made() {
    let (node, pod) = (Node::new(), Netns::new("pod"));
    let config = node.config(json!({"prevResult": {"ips": [{"address": "x"}]}}));
    node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).fails(6, "prevResult.ips[0].address");
    assert_eq!(node.state().requests.len(), 0);
}

#[test]
fn each_version_gets_its_own_result() {
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let (node, pod) = (Node::new(), Netns::new("pod"));
        let config = node.config(json!({"cniVersion": version}));
        let result = node.call(&node.invocation("ADD", "c1", &pod.path()).config(&config)).ok();
        assert_eq!(result["cniVersion"], version);
        let old = version.starts_with('0');
        assert_eq!(result["ips"][0]["version"], if old { json!("4") } else { Value::Null });
        assert_eq!(result["ips"][1]["version"], if old { json!("6") } else { Value::Null });
        assert_eq!(result["interfaces"][1]["mtu"], if version == "1.1.0" { json!(1450) } else { Value::Null });
        assert_eq!(result["interfaces"][1]["sandbox"], pod.path());
        assert_eq!(result["interfaces"][0]["sandbox"], Value::Null);
        assert_eq!((&result["ips"][0]["interface"], &result["ips"][0]["gateway"]), (&json!(1), &json!("169.254.1.1")));
        assert_eq!(
            result["routes"],
            json!([{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "::/0", "gw": "fe80::1"}])
        );
        assert!(result["interfaces"][0]["name"].as_str().unwrap().starts_with("fr"));
    }
}
