//! Random objects, the cluster they make, and what happens to it.

use proptest::{prelude::*, sample::select};

use super::{
    Cluster, Event,
    policies::policy,
    universe::{NAMESPACES, NODES, PODS, PORT_NAMES, addresses, node, node_of, pod_name, protocol},
};
use crate::{
    objects::{ContainerPort, Namespace, Objects, Phase, Pod},
    oracle::{Endpoint, OwnNodeEgress},
    selector::Labels,
};

/// A cluster with some of everything.
pub(super) fn cluster() -> impl Strategy<Value = Cluster> {
    let pods = prop::sample::subsequence((0..PODS).collect::<Vec<_>>(), 7..=PODS).prop_flat_map(|numbers| {
        numbers.into_iter().map(|number| (pod(number), endpoint(number), prop::bool::weighted(0.9))).collect::<Vec<_>>()
    });
    let namespaces = prop::collection::vec(namespace(), 1..5);
    let policies = prop::collection::vec(policy(), 1..10);
    (pods, namespaces, policies, prop::bool::weighted(0.3)).prop_map(|(pods, namespaces, policies, policed)| {
        let mut cluster = Cluster {
            objects: Objects::default(),
            node_name: NODES[0].to_owned(),
            endpoints: vec![],
            own_addresses: node(0).internal_ips,
            own_node_egress: if policed { OwnNodeEgress::Policed } else { OwnNodeEgress::Allow },
        };
        for node in (0..NODES.len()).map(node) {
            cluster.objects.nodes.insert(node.name.clone(), node.into());
        }
        let local = NODES[0];
        for (number, (pod, mut endpoint, leased)) in (1..).zip(pods) {
            endpoint.index = number;
            endpoint.addresses.clone_from(&pod.ips);
            if leased && pod.node.as_deref() == Some(local) && !pod.host_network {
                cluster.apply(Event::Endpoint(endpoint));
            }
            cluster.apply(Event::Pod(pod));
        }
        let others = namespaces.into_iter().map(Event::Namespace).chain(policies.into_iter().map(Event::Policy));
        others.for_each(|event| cluster.apply(event));
        cluster
    })
}

/// Something happens.
pub(super) fn event() -> impl Strategy<Value = Event> {
    let number = || 0..PODS;
    prop_oneof![
        6 => number().prop_flat_map(pod).prop_map(Event::Pod),
        1 => number().prop_map(|number| Event::PodGone(pod_name(number))),
        2 => namespace().prop_map(Event::Namespace),
        1 => select(NAMESPACES.to_vec()).prop_map(|name| Event::NamespaceGone(name.into())),
        10 => policy().prop_map(Event::Policy),
        2 => policy().prop_map(|policy| Event::PolicyGone(policy.name)),
        1 => number().prop_flat_map(endpoint).prop_map(Event::Endpoint),
        1 => number().prop_flat_map(endpoint).prop_map(|endpoint| Event::EndpointGone(endpoint.addresses[0])),
    ]
}

/// The pod with a number: on its node, with an address that is mostly its own.
fn pod(number: usize) -> impl Strategy<Value = Pod> {
    let home = node_of(number);
    let phase = prop_oneof![
        8 => Just(Phase::Running),
        1 => Just(Phase::Pending),
        1 => select(vec![Phase::Succeeded, Phase::Failed]),
    ];
    (
        (labels(), phase, prop::bool::weighted(0.1), prop::bool::weighted(0.07)),
        (place(number), uid(), 0..3_u64, prop::collection::vec(container_port(), 0..3)),
    )
        .prop_map(move |((labels, phase, terminating, host_network), (at, uid, created, ports))| Pod {
            name: pod_name(number),
            uid,
            labels,
            created,
            static_uid: None,
            announced: false,
            terminating,
            node: Some(NODES[home].into()),
            host_network,
            phase,
            ips: if host_network { node(home).internal_ips } else { addresses(at.0, at.1).to_vec() },
            ports,
        })
}

/// Pods of one node have six slots; a pod takes another's once in a while.
fn slot(number: usize) -> impl Strategy<Value = usize> {
    let own = if node_of(number) == 0 { 2 * (number / 4) + number % 4 } else { number / 4 };
    prop_oneof![7 => Just(own), 1 => 0..6_usize]
}

/// The node whose slot the object claims, which is another's by mistake only.
fn place(number: usize) -> impl Strategy<Value = (usize, usize)> {
    (prop_oneof![30 => Just(node_of(number)), 1 => 0..NODES.len()], slot(number))
}

/// A lease for the pod with a number, or for one that no object names.
fn endpoint(number: usize) -> impl Strategy<Value = Endpoint> {
    (slot(number), uid(), prop::bool::weighted(0.9)).prop_map(move |(slot, uid, named)| Endpoint {
        index: 0,
        addresses: addresses(0, slot).to_vec(),
        pod: (named && node_of(number) == 0).then(|| pod_name(number)),
        uid,
    })
}

/// Mostly none, so that most leases find their object.
fn uid() -> impl Strategy<Value = String> {
    select(vec!["", "", "", "", "u1", "u2"]).prop_map(str::to_owned)
}

fn container_port() -> impl Strategy<Value = ContainerPort> {
    (select(vec!["", PORT_NAMES[0], PORT_NAMES[0], PORT_NAMES[1]]), select(vec![80, 81, 8080]), protocol())
        .prop_map(|(name, port, protocol)| ContainerPort { name: name.into(), port, protocol })
}

fn namespace() -> impl Strategy<Value = Namespace> {
    (select(NAMESPACES.to_vec()), labels()).prop_map(|(name, labels)| Namespace { name: name.into(), labels })
}

fn labels() -> impl Strategy<Value = Labels> {
    let values = || prop::option::weighted(0.7, select(vec!["1", "2", ""]));
    (values(), values())
        .prop_map(|(k, l)| [("k", k), ("l", l)].into_iter().filter_map(|(n, v)| Some((n, v?))).collect())
}
