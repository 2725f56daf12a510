//! Clusters in a few words a line, and what the oracle says about them.
//!
//! ```text
//! ns NAME LABEL=VALUE…
//! pod NAMESPACE/NAME IP,… LABEL=VALUE… [:PORTNAME=NUMBER/PROTOCOL…] [terminating|ended|host|created N]
//! lease INDEX IP,… NAMESPACE/NAME | -
//! policy NAMESPACE/NAME SELECTOR | in PEERS on PORTS | out PEERS on PORTS | in none | out none
//! ```
//! A selector is `*` or `key=a|b`, `key!=a|b`, `key`, `!key`, joined by `,`. Peers are `all`, or of `SELECTOR` (own
//! namespace), `NAMESPACESELECTOR/SELECTOR`, `CIDR-EXCEPT-EXCEPT` (with a dot or a colon), joined by `;`. Ports are `all`,
//! or of `80/tcp`, `80:90/tcp`, `*/udp`, `http/tcp`, joined by `,`.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    objects::*,
    oracle::{self, OwnNodeEgress, Packet, Sender, Traffic},
    policy::{Change, Endpoint},
    selector::{Labels, Requirement, Selector, Test},
};

pub(super) fn selector(text: &str) -> Selector {
    let values = |list: &str| list.split('|').map(str::to_owned).collect();
    let requirement = |word: &str| {
        let (key, test) = if let Some((key, list)) = word.split_once("!=") {
            (key, Test::NotIn(values(list)))
        } else if let Some((key, list)) = word.split_once('=') {
            (key, Test::In(values(list)))
        } else if let Some(key) = word.strip_prefix('!') {
            (key, Test::DoesNotExist)
        } else {
            (word, Test::Exists)
        };
        Requirement { key: key.to_owned(), test }
    };
    Selector::new(if text == "*" { vec![] } else { text.split(',').map(requirement).collect() })
}

fn protocol(text: &str) -> Protocol {
    match text {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => panic!("{other}"),
    }
}

fn name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap();
    ObjectName::new(namespace, name)
}

fn labels(words: &[&str]) -> Labels {
    words.iter().filter(|word| !word.starts_with(':')).filter_map(|word| word.split_once('=')).collect()
}

fn peer(text: &str) -> PolicyPeer {
    if text.starts_with(|c: char| c.is_ascii_digit()) || text.contains(':') {
        let mut parts = text.split('-').map(|part| part.parse().unwrap());
        return PolicyPeer::Block(IpBlock { cidr: parts.next().unwrap(), except: parts.collect() });
    }
    match text.rsplit_once('/') {
        // A label's key may hold a slash.
        Some((namespaces, pods)) => {
            PolicyPeer::Pods { namespaces: Some(selector(&namespaces.replace("@name", NAME))), pods: selector(pods) }
        }
        None => PolicyPeer::Pods { namespaces: None, pods: selector(text) },
    }
}

const NAME: &str = "kubernetes.io/metadata.name";

fn port(text: &str) -> PolicyPort {
    let (port, protocol_name) = text.split_once('/').unwrap();
    let port = match port.split_once(':') {
        Some((first, last)) => PortMatch::Range(first.parse().unwrap(), last.parse().unwrap()),
        None if port == "*" => PortMatch::Any,
        None => port.parse().map_or_else(|_| PortMatch::Named(port.into()), |one| PortMatch::Range(one, one)),
    };
    PolicyPort { protocol: protocol(protocol_name), port }
}

fn policy(text: &str) -> NetworkPolicy {
    let mut parts = text.split(" | ").map(str::trim);
    let (title, pods) = parts.next().unwrap().split_once(' ').unwrap();
    let mut policy = NetworkPolicy {
        name: name(title),
        pod_selector: selector(pods),
        isolates: vec![],
        ingress: vec![],
        egress: vec![],
    };
    for part in parts {
        let (direction, rule) = part.split_once(' ').unwrap();
        let (direction, list) = match direction {
            "in" => (Direction::Ingress, &mut policy.ingress),
            "out" => (Direction::Egress, &mut policy.egress),
            other => panic!("{other}"),
        };
        if !policy.isolates.contains(&direction) {
            policy.isolates.push(direction);
        }
        if rule == "none" {
            continue;
        }
        let (peers, ports) = rule.split_once(" on ").unwrap();
        let peers = if peers == "all" { vec![] } else { peers.split(';').map(peer).collect() };
        let ports = if ports == "all" { vec![] } else { ports.split(',').map(port).collect() };
        list.push(PolicyRule { peers, ports });
    }
    policy
}

fn pod(words: &[&str]) -> Pod {
    let has = |word| words.contains(&word);
    let created = words.iter().position(|word| *word == "created").map_or(0, |at| words[at + 1].parse().unwrap());
    let ports = words.iter().filter_map(|word| word.strip_prefix(':')).map(|word| {
        let (name, port) = word.split_once('=').unwrap();
        let (port, protocol_name) = port.split_once('/').unwrap();
        ContainerPort { name: name.into(), port: port.parse().unwrap(), protocol: protocol(protocol_name) }
    });
    Pod {
        name: name(words[1]),
        uid: words.iter().find_map(|word| word.strip_prefix("uid:")).unwrap_or_default().into(),
        labels: labels(&words[3..]),
        created,
        static_uid: None,
        announced: false,
        terminating: has("terminating"),
        node: Some("b".into()),
        host_network: has("host"),
        phase: if has("ended") { Phase::Succeeded } else { Phase::Running },
        ips: words[2].split(',').filter(|ip| *ip != "-").map(|ip| ip.parse().unwrap()).collect(),
        ports: ports.collect(),
    }
}

/// One line as a change. `-` before it takes the object away.
pub(super) fn change(line: &str) -> Change {
    let (gone, line) = match line.strip_prefix('-') {
        Some(line) => (true, line),
        None => (false, line),
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[0] {
        "ns" => {
            let namespace = Namespace { name: words[1].into(), labels: labels(&words[2..]) };
            Change::Namespace(words[1].into(), (!gone).then(|| namespace.into()))
        }
        "pod" if gone => Change::Pod(name(words[1]), None),
        "pod" => Change::Pod(name(words[1]), Some(pod(&words).into())),
        "policy" if gone => Change::Policy(name(words[1]), None),
        "policy" => Change::Policy(name(words[1]), Some(policy(line.strip_prefix("policy ").unwrap()).into())),
        "lease" if gone => Change::Endpoint(words[1].parse().unwrap(), None),
        "lease" => {
            let endpoint = Endpoint {
                addresses: words[2].split(',').map(|ip| ip.parse().unwrap()).collect(),
                pod: (words[3] != "-").then(|| name(words[3])),
                uid: words.get(4).map(|uid| (*uid).to_owned()),
            };
            Change::Endpoint(words[1].parse().unwrap(), Some(endpoint))
        }
        other => panic!("{other}"),
    }
}

pub(super) fn changes(text: &str) -> Vec<Change> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(change).collect()
}

/// A packet's protocol and destination port.
pub(super) type Ask = (u8, u16);

/// The objects of a moment. All pods are node `b`'s, but for those that node `a` leased an address.
#[derive(Debug, Clone)]
pub(super) struct Cluster {
    pub(super) objects: Objects,
    pub(super) endpoints: BTreeMap<u32, Endpoint>,
}

impl Default for Cluster {
    fn default() -> Self {
        let node = Node { name: "b".into(), ..Node::default() };
        let objects = Objects { nodes: Map::unit("b".into(), node.into()), ..Objects::default() };
        Self { objects, endpoints: BTreeMap::new() }
    }
}

impl Cluster {
    pub(super) fn take(&mut self, change: &Change) {
        fn set<K: Ord + Clone, V: Clone>(map: &mut Map<K, V>, key: &K, value: &Option<V>) {
            match value {
                Some(value) => _ = map.insert(key.clone(), value.clone()),
                None => _ = map.remove(key),
            }
        }
        match change {
            Change::Namespace(name, object) => set(&mut self.objects.namespaces, name, object),
            Change::Pod(name, object) => set(&mut self.objects.pods, name, object),
            Change::Policy(name, object) => set(&mut self.objects.policies, name, object),
            Change::Endpoint(index, Some(endpoint)) => _ = self.endpoints.insert(*index, endpoint.clone()),
            Change::Endpoint(index, None) => _ = self.endpoints.remove(index),
        }
    }

    /// All of it.
    pub(super) fn changes(&self) -> Vec<Change> {
        let Objects { namespaces, pods, policies, .. } = &self.objects;
        let namespaces = namespaces.iter().map(|(name, one)| Change::Namespace(name.clone(), Some(one.clone())));
        let pods = pods.iter().map(|(name, one)| Change::Pod(name.clone(), Some(one.clone())));
        let policies = policies.iter().map(|(name, one)| Change::Policy(name.clone(), Some(one.clone())));
        let endpoints = self.endpoints.iter().map(|(index, one)| Change::Endpoint(*index, Some(one.clone())));
        namespaces.chain(pods).chain(policies).chain(endpoints).collect()
    }

    /// Whether an endpoint lets pass what comes from a peer, or goes to it, as the oracle says; `None` for one that does
    /// not exist.
    pub(super) fn allows(&self, index: u32, direction: Direction, peer: IpAddr, ask: Ask) -> Option<bool> {
        let own = self.endpoints.get(&index)?.addresses[0];
        let leases = self.endpoints.iter().map(|(index, one)| oracle::Endpoint {
            index: *index,
            addresses: one.addresses.clone(),
            pod: one.pod.clone(),
            uid: one.uid.clone().unwrap_or_default(),
        });
        let leases: Vec<oracle::Endpoint> = leases.collect();
        let world = oracle::World {
            objects: &self.objects,
            node_name: "a",
            endpoints: &leases,
            own_addresses: &[],
            own_node_egress: OwnNodeEgress::Policed,
        };
        let (source_port, (protocol, port)) = (40_000, ask);
        let traffic = match protocol {
            6 => Traffic::Tcp { source_port, port, opens: true },
            17 => Traffic::Udp { source_port, port },
            132 => Traffic::Sctp { source_port, port },
            _ => Traffic::Echo { identifier: 1, reply: false },
        };
        let ends = |source, destination| Packet { source, destination, traffic };
        match direction {
            Direction::Ingress => {
                let sender = world.endpoint_at(peer).map_or(Sender::Forwarded, |_| Sender::LocalPod);
                oracle::judge(&world, &ends(peer, own), sender).ingress.map(|end| end.allowed)
            }
            Direction::Egress => {
                oracle::judge(&world, &ends(own, peer), Sender::LocalPod).egress.map(|end| end.allowed)
            }
        }
    }
}
