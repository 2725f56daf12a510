//! A big cluster that is hard to enforce: pods with labels of their own, policies that name single pods, and blocks
//! whose exceptions cut through pod CIDRs. No rule matches more than about a hundred classes but by wildcard.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use ipnetwork::{IpNetwork, Ipv4Network};

use crate::{
    objects::{
        ContainerPort, Direction, IpBlock, Namespace, NetworkPolicy, Node, ObjectName, Objects, Phase, Pod, PolicyPeer,
        PolicyPort, PolicyRule, PortMatch, Protocol,
    },
    oracle::Endpoint,
    selector::{Labels, Requirement, Selector, Test},
};

/// How big it is.
#[derive(Debug, Clone, Copy)]
pub struct Hard {
    /// All pods, this node's included.
    pub pods: u32,
    /// This node's pods, each an endpoint. No two have the same tables.
    pub endpoints: u32,
    /// Policies that select an endpoint, each with a block of its own and its exceptions.
    pub policies_here: u32,
    /// Policies that select other nodes' pods.
    pub policies_elsewhere: u32,
}

impl Default for Hard {
    fn default() -> Self {
        Self { pods: 30_000, endpoints: 110, policies_here: 1_000, policies_elsewhere: 9_000 }
    }
}

/// The node that looks at it.
pub const NODE: &str = "node-0";
/// Pods of one namespace, and of one node.
const GROUP: u32 = 110;

impl Hard {
    /// Its objects.
    #[must_use]
    pub fn objects(&self) -> Objects {
        let mut objects = Objects::default();
        for group in 0..=self.pods / GROUP {
            let (namespace, node) = (self.namespace(group), node(group));
            objects.namespaces.insert(namespace.name.clone(), namespace.into());
            objects.nodes.insert(node.name.clone(), node.into());
        }
        for pod in (0..self.pods).map(|number| self.pod(number)) {
            objects.pods.insert(pod.name.clone(), pod.into());
        }
        let policies = self.policies_here + self.policies_elsewhere;
        for policy in (0..policies).map(|number| self.policy(number, 80)) {
            objects.policies.insert(policy.name.clone(), policy.into());
        }
        objects
    }

    /// This node's leases.
    #[must_use]
    pub fn leases(&self) -> Vec<Endpoint> {
        let lease = |number: u32| Endpoint {
            index: number + 1,
            addresses: addresses(number),
            pod: Some(self.pod(number).name),
            uid: format!("uid-{number}"),
        };
        (0..self.endpoints).map(lease).collect()
    }

    /// A namespace. Those of this node's pods hold other nodes' pods too.
    #[must_use]
    pub fn namespace(&self, number: u32) -> Namespace {
        Namespace {
            name: format!("ns-{number}").into(),
            labels: [("team", format!("team-{number}"))].into_iter().collect(),
        }
    }

    /// A pod; the first ones are this node's.
    #[must_use]
    pub fn pod(&self, number: u32) -> Pod {
        let labels = [
            ("app", format!("app-{}", number % 500)),
            ("id", format!("pod-{number}")),
            ("tier", format!("tier-{}", number % 5)),
            ("pod-template-hash", format!("{:x}", number / 50)),
        ];
        Pod {
            name: ObjectName::new(format!("ns-{}", self.group(number)), format!("pod-{number}")),
            uid: format!("uid-{number}"),
            labels: labels.into_iter().collect::<Labels>(),
            created: 1,
            static_uid: None,
            announced: false,
            terminating: false,
            node: Some(format!("node-{}", number / GROUP).into()),
            host_network: false,
            phase: Phase::Running,
            ips: addresses(number),
            ports: vec![ContainerPort { name: "http".into(), port: port(number), protocol: Protocol::Tcp }],
        }
    }

    /// A policy, with one port that a change can move; the first ones select this node's pods.
    #[must_use]
    pub fn policy(&self, number: u32, first_port: u16) -> NetworkPolicy {
        let subject = if number < self.policies_here {
            number % self.endpoints.max(1)
        } else {
            self.endpoints + number % (self.pods - self.endpoints).max(1)
        };
        let namespace: Arc<str> = format!("ns-{}", self.group(subject)).into();
        // Peers that no other policy names.
        let peer = |at: u32| (number * 7 + at * 9_973) % self.pods;
        let by_id = |at: u32| selector("id", &[format!("pod-{}", peer(at))]);
        let other = |at: u32| selector("team", &[format!("team-{}", self.group(peer(at)))]);
        let own = selector("id", &[format!("pod-{}", self.endpoints + number % 1_000)]);
        let ports = vec![range(first_port, first_port), range(8_000, 8_191)];
        let named = PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Named("http".to_owned()) };
        NetworkPolicy {
            name: ObjectName::new(namespace, format!("policy-{number}")),
            pod_selector: selector("id", &[format!("pod-{subject}")]),
            isolates: vec![Direction::Ingress, Direction::Egress],
            ingress: vec![
                PolicyRule { peers: vec![pods(None, own), pods(Some(other(1)), by_id(1))], ports: ports.clone() },
                PolicyRule { peers: vec![PolicyPeer::Block(self.block(number))], ports },
            ],
            egress: vec![
                PolicyRule {
                    peers: vec![pods(Some(Selector::default()), by_id(2)), pods(Some(other(3)), by_id(3))],
                    ports: vec![named],
                },
                PolicyRule { peers: vec![pods(Some(Selector::default()), Selector::default())], ports: vec![dns()] },
            ],
        }
    }

    /// A block of some dozens of pods' addresses, some of them excepted.
    fn block(&self, number: u32) -> IpBlock {
        let size = 32 << (number % 2);
        let base = (number * 61) % self.pods.max(1) / size * size;
        let part = |offset: u32, bits: u8| network(base + offset, bits);
        let bits = if size == 32 { 27 } else { 26 };
        IpBlock { cidr: part(0, bits), except: vec![part(number % 8 * 4, 30), part(size - 1, 32)] }
    }

    /// Which namespace a pod is in: an endpoint shares its own with pods of other nodes.
    fn group(&self, pod: u32) -> u32 {
        pod % (self.pods / GROUP + 1)
    }
}

fn node(number: u32) -> Node {
    Node {
        name: format!("node-{number}").into(),
        internal_ips: vec![IpAddr::V4(Ipv4Addr::from(0xC0A8_0000 + number))],
        ..Node::default()
    }
}

const FIRST: u32 = 0x0A40_0000;

fn addresses(pod: u32) -> Vec<IpAddr> {
    let v6 = Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(pod));
    vec![IpAddr::V4(Ipv4Addr::from(FIRST + pod)), IpAddr::V6(v6)]
}

fn network(pod: u32, bits: u8) -> IpNetwork {
    let address = Ipv4Addr::from(FIRST + pod);
    Ipv4Network::new(address, bits).map_or_else(|_| IpNetwork::from(IpAddr::V4(address)), IpNetwork::V4)
}

fn port(pod: u32) -> u16 {
    8_080 + u16::try_from(pod % 3).unwrap_or(0)
}

fn range(first: u16, last: u16) -> PolicyPort {
    PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Range(first, last) }
}

fn dns() -> PolicyPort {
    PolicyPort { protocol: Protocol::Udp, port: PortMatch::Range(53, 53) }
}

fn pods(namespaces: Option<Selector>, pods: Selector) -> PolicyPeer {
    PolicyPeer::Pods { namespaces, pods }
}

fn selector(key: &str, values: &[String]) -> Selector {
    Selector::new(vec![Requirement { key: key.to_owned(), test: Test::In(values.to_vec()) }])
}
