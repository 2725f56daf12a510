//! Nodes, and pods in their networks.

use super::{check, judge, small, verdict};
use crate::{
    oracle::Sender,
    testing::{cluster, packet},
};

#[test]
fn what_the_node_generates_reaches_its_pods_and_what_it_forwards_is_judged_by_address() {
    let cluster = cluster(&small("policy default/p * isolates ingress\n ingress block:8.0.0.0/8"));
    for (what, sender, expected) in [
        ("192.168.0.1 > default/web tcp/80", Sender::NodeItself, "pass"),
        ("10.9.9.9 > default/web tcp/80", Sender::NodeItself, "pass"),
        ("192.168.0.1 > default/web tcp/80", Sender::Forwarded, "no ingress"),
        ("8.8.8.8 > default/web tcp/80", Sender::Forwarded, "pass"),
        ("9.9.9.9 > default/web tcp/80", Sender::Forwarded, "no ingress"),
    ] {
        assert_eq!(verdict(&judge(&cluster.world(), &packet(&cluster, what), sender)), expected, "{what} {sender:?}");
    }
}

#[test]
fn a_pod_reaches_its_own_node_unless_that_is_policed() {
    let policy = "policy default/p * isolates egress\n egress block:192.168.0.1/32 on tcp/10250";
    check(
        &small(policy),
        "
        default/web > 192.168.0.1 tcp/22: pass
        default/web > fd00:2::1 echo: pass
        default/web > 192.168.0.2 tcp/22: no egress
        ",
    );
    check(
        &small(&format!("{policy}\n policed")),
        "
        default/web > 192.168.0.1 tcp/22: no egress
        default/web > 192.168.0.1 tcp/10250: pass
        default/web > fd00:2::1 echo: no egress
        ",
    );
}

#[test]
fn another_node_is_a_peer_by_its_address() {
    check(
        &small("policy default/p * isolates ingress,egress\n ingress block:192.168.0.2/32\n egress namespaces:*"),
        "
        192.168.0.2 > default/web tcp/80: pass
        fd00:2::2 > default/web@6 tcp/80: no ingress
        default/web > 192.168.0.2 tcp/80: no egress
        ",
    );
}

#[test]
fn a_pod_in_its_nodes_network_is_neither_subject_nor_peer() {
    let lines = "
        pod default/agent b 192.168.0.2 app=db host
        pod default/own a 192.168.0.1 app=db host
        policy default/p app=web isolates ingress,egress
          ingress pods:app=db
          egress pods:app=db
    ";
    check(
        &small(lines),
        "
        default/agent > default/web tcp/80: no ingress
        default/web > default/agent tcp/80: no egress
        default/own > default/web tcp/80: pass
        default/db > default/web tcp/80: pass
        default/web > default/db tcp/80: pass
        ",
    );
}

#[test]
fn an_address_that_a_node_has_is_no_pods() {
    check(
        &small(
            "pod other/thief b 192.168.0.3\n node c 192.168.0.3\n policy default/p * isolates ingress\n ingress namespaces:*",
        ),
        "192.168.0.3 > default/web tcp/80: no ingress",
    );
}
