//! Services in text, for tests that state a rule: one object a line, seen from node `a` in zone `z1`. A name may be
//! `NAMESPACE/NAME`; a slice is of its own namespace's Service.
//!
//! ```text
//! service NAME IP,… PORT[:NAME]/tcp … [created:N] [affinity:N] [local] [same-zone] [same-node] [proxy:NAME]
//! slice NAME SERVICE PORT[:NAME]/tcp,… ADDRESS[+on=NODE][+in=ZONE][+zones=Z|Z][+nodes=N|N][+unready|+ending|+ended] …
//! pod NAME IP
//! node NAME IP
//! ```

use std::sync::Arc;

use crate::{
    objects::{
        Distribution, EndpointSlice, Node, ObjectName, Objects, Phase, Pod, Protocol, Service, ServicePort,
        ServiceType, SliceEndpoint, SlicePort,
    },
    selector::Labels,
};

pub(super) fn objects(text: &str) -> Arc<Objects> {
    let mut objects = Objects::default();
    let labels: Labels = [("topology.kubernetes.io/zone", "z1")].into_iter().collect();
    let node = Node { name: "a".into(), labels, ..Node::default() };
    objects.nodes.insert("a".into(), node.into());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (namespace, name) = words[1].split_once('/').unwrap_or(("n", words[1]));
        let name = ObjectName::new(namespace, name);
        match words[0] {
            "service" => _ = objects.services.insert(name.clone(), service(name, &words[2..]).into()),
            "slice" => _ = objects.endpoint_slices.insert(name.clone(), slice(name, &words[2..]).into()),
            "node" => {
                let internal_ips = vec![words[2].parse().unwrap()];
                let node = Node { name: words[1].into(), internal_ips, ..Node::default() };
                objects.nodes.insert(words[1].into(), node.into());
            }
            "pod" => _ = objects.pods.insert(name.clone(), pod(name, words[2]).into()),
            other => panic!("{other} is no object"),
        }
    }
    Arc::new(objects)
}

fn service(name: ObjectName, words: &[&str]) -> Service {
    let number = |word: &str| word.split_once(':').unwrap().1.parse().unwrap();
    let mut service = Service {
        name,
        created: 0,
        kind: ServiceType::ClusterIp,
        cluster_ips: words[0].split(',').filter(|ip| *ip != "-").map(|ip| ip.parse().unwrap()).collect(),
        headless: false,
        ports: vec![],
        affinity: None,
        local: false,
        distribution: Distribution::Any,
        other_proxy: None,
    };
    for word in &words[1..] {
        match *word {
            "local" => service.local = true,
            "same-zone" => service.distribution = Distribution::SameZone,
            "same-node" => service.distribution = Distribution::SameNode,
            word if word.starts_with("created:") => service.created = number(word),
            word if word.starts_with("affinity:") => service.affinity = Some(u32::try_from(number(word)).unwrap()),
            word if word.starts_with("proxy:") => service.other_proxy = Some(word[6..].into()),
            word => {
                let (port, name, protocol) = port(word);
                service.ports.push(ServicePort { name, port: port.unwrap(), protocol });
            }
        }
    }
    service
}

fn slice(name: ObjectName, words: &[&str]) -> EndpointSlice {
    let ports = words[1].split(',').map(port).map(|(port, name, protocol)| SlicePort { name, port, protocol });
    EndpointSlice {
        name,
        service: (words[0] != "-").then(|| words[0].into()),
        ports: ports.collect(),
        endpoints: words[2..].iter().map(|word| endpoint(word)).collect(),
    }
}

fn port(word: &str) -> (Option<u16>, Arc<str>, Protocol) {
    let (rest, protocol) = word.split_once('/').unwrap();
    let (port, name) = rest.split_once(':').unwrap_or((rest, ""));
    let protocol = match protocol {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => panic!("{other} is no protocol"),
    };
    (port.parse().ok(), name.into(), protocol)
}

fn endpoint(word: &str) -> SliceEndpoint {
    let mut parts = word.split('+');
    let mut endpoint = SliceEndpoint {
        address: parts.next().unwrap().parse().unwrap(),
        ready: true,
        serving: true,
        terminating: false,
        node: None,
        zone: None,
        for_zones: vec![],
        for_nodes: vec![],
    };
    for part in parts {
        let list = |text: &str| text.split('|').map(Into::into).collect();
        match part.split_once('=').unwrap_or((part, "")) {
            ("on", node) => endpoint.node = Some(node.into()),
            ("in", zone) => endpoint.zone = Some(zone.into()),
            ("zones", zones) => endpoint.for_zones = list(zones),
            ("nodes", nodes) => endpoint.for_nodes = list(nodes),
            ("unready", _) => (endpoint.ready, endpoint.serving) = (false, false),
            ("ending", _) => (endpoint.ready, endpoint.terminating) = (false, true),
            ("ended", _) => (endpoint.ready, endpoint.serving, endpoint.terminating) = (false, false, true),
            (other, _) => panic!("{other} is nothing of an endpoint"),
        }
    }
    endpoint
}

fn pod(name: ObjectName, ip: &str) -> Pod {
    Pod {
        name,
        uid: String::new(),
        labels: Labels::default(),
        created: 0,
        terminating: false,
        node: None,
        host_network: false,
        phase: Phase::Running,
        ips: vec![ip.parse().unwrap()],
        ports: vec![],
        announced: false,
        static_uid: None,
    }
}
