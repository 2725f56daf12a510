//! Clusters and packets in text, for tests that state a rule: one object a line, seen from node `a`.
//!
//! ```text
//! node NAME IP,…
//! namespace NAME LABEL=VALUE …
//! pod NAMESPACE/NAME NODE IP,… LABEL=VALUE … [port:NAME/tcp/80] [uid:U] [static:UID] [created:N] [announced] [terminating] [ended] [host] [unleased]
//! endpoint INDEX IP,… [NAMESPACE/NAME [UID]]
//! policy NAMESPACE/NAME SELECTOR isolates ingress,egress
//!   ingress|egress [block:CIDR-EXCEPT… | pods:SELECTOR | namespaces:SELECTOR[+pods:SELECTOR]] … [on tcp/80 udp/80-90 tcp/NAME sctp …]
//! policed
//! ```
//! `-` stands for no address. A selector is `a=b|c&a!=b&a&!a`, or `*`. A pod of node `a` that is neither `host` nor `unleased` has an endpoint of
//! its name. Bad text panics: it is part of a test.

use std::{net::IpAddr, sync::Arc};

use super::{
    Cluster,
    words::{addresses, direction, labels, object_name, protocol, rule, selector},
};
use crate::{
    objects::{ContainerPort, Namespace, NetworkPolicy, Node, ObjectName, Objects, Phase, Pod},
    oracle::{Endpoint, OwnNodeEgress, Packet, Traffic},
};

/// The cluster that a text describes.
///
/// # Panics
/// When the text is no cluster.
#[must_use]
pub fn cluster(text: &str) -> Cluster {
    let mut cluster = Cluster {
        objects: Objects::default(),
        node_name: "a".to_owned(),
        endpoints: vec![],
        own_addresses: vec![],
        own_node_egress: OwnNodeEgress::Allow,
    };
    let mut policies: Vec<NetworkPolicy> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let objects = &mut cluster.objects;
        match words[0] {
            "node" => {
                let node = node(&words);
                if *node.name == *cluster.node_name {
                    cluster.own_addresses.clone_from(&node.internal_ips);
                }
                objects.nodes.insert(node.name.clone(), node.into());
            }
            "namespace" => {
                let namespace = Namespace { name: words[1].into(), labels: labels(&words[2..]) };
                objects.namespaces.insert(namespace.name.clone(), namespace.into());
            }
            "pod" => {
                let pod = pod(&words);
                if words[2] == cluster.node_name && !pod.host_network && !words.contains(&"unleased") {
                    let index = 1 + u32::try_from(cluster.endpoints.len()).unwrap();
                    let (addresses, uid) = (pod.ips.clone(), pod.uid.clone());
                    cluster.endpoints.push(Endpoint { index, addresses, pod: Some(pod.name.clone()), uid });
                }
                objects.pods.insert(pod.name.clone(), pod.into());
            }
            "endpoint" => cluster.endpoints.push(Endpoint {
                index: words[1].parse().unwrap(),
                addresses: addresses(words[2]),
                pod: words.get(3).map(|name| object_name(name)),
                uid: words.get(4).copied().unwrap_or_default().to_owned(),
            }),
            "policy" => policies.push(NetworkPolicy {
                name: object_name(words[1]),
                pod_selector: selector(words[2]),
                isolates: words[4].split(',').map(direction).collect(),
                ingress: vec![],
                egress: vec![],
            }),
            "ingress" => policies.last_mut().unwrap().ingress.push(rule(&words[1..])),
            "egress" => policies.last_mut().unwrap().egress.push(rule(&words[1..])),
            "policed" => cluster.own_node_egress = OwnNodeEgress::Policed,
            other => panic!("{other:?} begins no line of a cluster: {line}"),
        }
    }
    cluster.objects.policies = policies.into_iter().map(|policy| (policy.name.clone(), Arc::new(policy))).collect();
    cluster
}

/// A packet: `FROM > TO tcp/80`, `tcp/5000-80`, `tcp/80+` (no SYN), `udp/80`, `sctp/80`, `echo`, `echo-reply`,
/// `echo/7`, `proto/47`; FROM and TO are addresses or pods (the first address; `NAMESPACE/NAME@6` its IPv6 one). Where no
/// source port is given it is 40000.
///
/// # Panics
/// When the text is no packet.
#[must_use]
pub fn packet(cluster: &Cluster, text: &str) -> Packet {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [from, ">", to, what] = words[..] else { panic!("{text:?} is no packet") };
    let (kind, detail) = what.split_once('/').unwrap_or((what, ""));
    let opens = !detail.ends_with('+');
    let numbers: Vec<u16> = detail.split(['-', '+']).filter_map(|number| number.parse().ok()).collect();
    let (source_port, port) = match numbers[..] {
        [source_port, port] => (source_port, port),
        [port] => (40000, port),
        _ => (0, 0),
    };
    let traffic = match kind {
        "tcp" => Traffic::Tcp { source_port, port, opens },
        "udp" => Traffic::Udp { source_port, port },
        "sctp" => Traffic::Sctp { source_port, port },
        "echo" => Traffic::Echo { identifier: port, reply: false },
        "echo-reply" => Traffic::Echo { identifier: port, reply: true },
        "proto" => Traffic::Other(u8::try_from(port).unwrap()),
        other => panic!("{other:?} is no traffic: {text}"),
    };
    Packet { source: address(cluster, from), destination: address(cluster, to), traffic }
}

fn address(cluster: &Cluster, text: &str) -> IpAddr {
    let Some((namespace, name)) = text.split_once('/') else { return text.parse().unwrap() };
    let (name, six) = name.strip_suffix("@6").map_or((name, false), |name| (name, true));
    let ips = &cluster.objects.pods[&ObjectName::new(namespace, name)].ips;
    ips.iter().copied().find(|ip| !six || ip.is_ipv6()).unwrap()
}

fn node(words: &[&str]) -> Node {
    Node { name: words[1].into(), internal_ips: addresses(words[2]), ..Node::default() }
}

fn pod(words: &[&str]) -> Pod {
    let has = |word| words.contains(&word);
    let value = |key| words.iter().find_map(|word| word.strip_prefix(key));
    let ports = words.iter().filter_map(|word| word.strip_prefix("port:")).map(|text| {
        let parts: Vec<&str> = text.split('/').collect();
        ContainerPort { name: parts[0].into(), protocol: protocol(parts[1]), port: parts[2].parse().unwrap() }
    });
    Pod {
        name: object_name(words[1]),
        uid: value("uid:").unwrap_or_default().to_owned(),
        labels: labels(words),
        created: value("created:").map_or(0, |number| number.parse().unwrap()),
        static_uid: value("static:").map(Into::into),
        announced: has("announced"),
        terminating: has("terminating"),
        node: Some(words[2].into()),
        host_network: has("host"),
        phase: if has("ended") { Phase::Succeeded } else { Phase::Running },
        ips: addresses(words[3]),
        ports: ports.collect(),
    }
}
