//! No object of another node changes what anybody else has: a cluster whose objects are right, and a node that lies.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use proptest::prelude::*;

use super::{
    tests::{objects, pod},
    *,
};
use crate::{
    desired::{Desired, Input, LocalEndpoint, Path, PeerKind, Settings, Underlay, desired},
    objects::{EndpointSlice, Node, Protocol, Service, ServicePort, SliceEndpoint, SlicePort},
    service::{Engine, Found, Limits},
};

/// Node `a` looks; `c` will lie. Addresses of other IPAM plugins (`s` and `t`) are among them.
const HONEST: &str = "
    node a 192.0.2.1,2001:db8::1 10.0.1.0/24,fd00:0:0:1::/64 created 5
    node b 192.0.2.2,2001:db8::2 10.0.2.0/24,fd00:0:0:2::/64 created 6
    node c 192.0.2.3 10.0.3.0/24 created 4
    pod own a 10.0.1.7,fd00:0:0:1::7 created 10
    pod p b 10.0.2.7,fd00:0:0:2::7 created 11
    pod q b 10.0.2.8 created 12
    node d 192.0.2.4 - created 7
    pod s d 172.16.0.7 created 13
    pod t a 172.16.0.8 created 14
    service dns 10.96.0.10 created 2";

const ADDRESSES: [&str; 21] = [
    "192.0.2.1",
    "192.0.2.2",
    "2001:db8::2",
    "192.0.2.3",
    "192.0.2.4",
    "192.0.2.77",
    "10.0.1.7",
    "10.0.1.8",
    "10.0.2.7",
    "10.0.2.9",
    "fd00:0:0:1::7",
    "fd00:0:0:2::9",
    "10.0.3.9",
    "172.16.0.7",
    "172.16.0.8",
    "10.96.0.10",
    "169.254.169.254",
    "fe80::1",
    "::ffff:10.0.2.7",
    "8.8.8.8",
    "192.0.2.254",
];
const CIDRS: [&str; 17] = [
    "10.0.1.0/24",
    "10.0.2.0/24",
    "10.0.2.0/25",
    "10.0.0.0/16",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "2000::/3",
    "8.0.0.0/8",
    "fd00::/32",
    "192.0.2.0/24",
    "192.0.2.128/25",
    "172.16.0.0/12",
    "10.0.3.0/24",
    "169.254.0.0/16",
    "10.0.4.0/24",
    "10.96.0.0/16",
];

/// What `c` says of itself and of its pods; older or younger than everybody.
#[derive(Debug, Clone)]
enum Lie {
    Node {
        created: u64,
        ips: Vec<IpAddr>,
        cidrs: Vec<IpNetwork>,
    },
    Pod {
        name: usize,
        created: u64,
        ips: Vec<IpAddr>,
        announced: bool,
    },
    PodGone(usize),
    NodeGone,
    /// Of a Service of somebody's own.
    Slice {
        name: usize,
        ips: Vec<IpAddr>,
    },
}

fn some<T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug + Clone + 'static>(
    from: &'static [&'static str],
) -> impl Strategy<Value = Vec<T>> {
    let parsed: Vec<T> = from.iter().map(|text| text.parse().unwrap()).collect();
    proptest::collection::vec(proptest::sample::select(parsed), 0..4)
}

fn lie() -> impl Strategy<Value = Lie> {
    prop_oneof![
        4 => (0..20_u64, some(&ADDRESSES), some(&CIDRS)).prop_map(|(created, ips, cidrs)| Lie::Node { created, ips, cidrs }),
        6 => (0..4_usize, 0..20_u64, some(&ADDRESSES), any::<bool>())
            .prop_map(|(name, created, ips, announced)| Lie::Pod { name, created, ips, announced }),
        1 => (0..4_usize).prop_map(Lie::PodGone),
        1 => Just(Lie::NodeGone),
        2 => (0..4_usize, some(&ADDRESSES)).prop_map(|(name, ips)| Lie::Slice { name, ips }),
    ]
}

fn tell(objects: &mut Objects, lie: Lie) {
    // Names that sort before and after everybody's.
    let name = |number: usize| ["0", "1", "y", "z"][number];
    match lie {
        Lie::Node { created, ips, cidrs } => {
            let node = Node { name: "c".into(), created, internal_ips: ips, pod_cidrs: cidrs, ..Node::default() };
            objects.nodes.insert(node.name.clone(), node.into());
        }
        Lie::Pod { name: number, created, ips, announced } => {
            let pod = Pod { announced, ..pod(name(number), "c", ips, created) };
            objects.pods.insert(pod.name.clone(), pod.into());
        }
        Lie::PodGone(number) => _ = objects.pods.remove(&ObjectName::new("x", name(number))),
        Lie::NodeGone => _ = objects.nodes.remove("c"),
        Lie::Slice { name: number, ips } => {
            let slice = slice(name(number), "evil", ips);
            objects.endpoint_slices.insert(slice.name.clone(), slice.into());
        }
    }
}

fn slice(name: &str, service: &str, ips: Vec<IpAddr>) -> EndpointSlice {
    let endpoint = |address| SliceEndpoint {
        address,
        ready: true,
        serving: true,
        terminating: false,
        node: Some("c".into()),
        zone: None,
        for_zones: vec![],
        for_nodes: vec![],
    };
    EndpointSlice {
        name: ObjectName::new("x", name),
        service: Some(service.into()),
        ports: vec![SlicePort { name: "".into(), port: Some(53), protocol: Protocol::Udp }],
        endpoints: ips.into_iter().map(endpoint).collect(),
    }
}

/// With a port and a backend behind the Service, and one of somebody's own.
fn honest() -> Objects {
    let mut objects = objects(HONEST);
    let port = |port| ServicePort { name: "".into(), port, protocol: Protocol::Udp };
    let dns = objects.services.get(&ObjectName::new("x", "dns")).unwrap();
    let dns = Service { ports: vec![port(53)], ..Service::clone(dns) };
    let name = ObjectName::new("x", "evil");
    let evil = Service { name: name.clone(), cluster_ips: vec!["10.96.0.66".parse().unwrap()], ..dns.clone() };
    objects.services.insert(dns.name.clone(), dns.into());
    objects.services.insert(name, evil.into());
    let slice = slice("dns-1", "dns", vec!["10.0.1.7".parse().unwrap(), "10.0.2.7".parse().unwrap()]);
    objects.endpoint_slices.insert(slice.name.clone(), slice.into());
    objects
}

/// What this node's pods get of a Service that is not the liar's: where each port leads, and whether others are refused.
fn services(engine: &Engine) -> Vec<String> {
    let evil: IpAddr = "10.96.0.66".parse().unwrap();
    let expected = engine.expected();
    let ports = expected.ports.keys().filter(|frontend| frontend.address != evil);
    let ports = ports.map(|frontend| format!("{frontend} {:?}", engine.served(frontend)));
    let addresses = expected.addresses.iter().filter(|address| **address != evil);
    ports.chain(addresses.map(ToString::to_string)).collect()
}

/// Whom a policy takes an address for that is somebody's.
fn known_as(objects: &Objects, honest: &[IpAddr]) -> Vec<String> {
    let has = |address: &IpAddr, pod: &Pod| pod.is_networked() && pod.ips.contains(address);
    let names = |address: &IpAddr| {
        let pods = objects.pods.values().filter(|pod| has(address, pod));
        pods.map(|pod| pod.name.to_string()).collect::<Vec<_>>().join(" ")
    };
    honest.iter().map(|address| format!("{address} {}", names(address))).collect()
}

fn compute(objects: &Objects, like: Option<&Desired>) -> Desired {
    let path = |ip: &str| {
        let ip: IpAddr = ip.parse().unwrap();
        (ip, Path { next_hop: ip, ifindex: 2, mtu: 1500, source: None, learned: None, multipath: false })
    };
    let kept = ["192.0.2.1", "2001:db8::1", "192.0.2.77", "192.0.2.254"].map(|ip| ip.parse().unwrap()).into();
    let paths = ADDRESSES.map(path).into();
    let underlay = Underlay { paths, vxlan_ifindex: Some(7), vxlan_mtu: 1450, kept, ..Underlay::default() };
    let addresses = ["10.0.1.7", "fd00:0:0:1::7", "172.16.0.8"].map(|ip| ip.parse().unwrap()).to_vec();
    desired(Input {
        objects,
        node_name: "a",
        endpoints: &[LocalEndpoint { container_id: "own".to_owned(), addresses }],
        settings: &Settings::default(),
        underlay: &underlay,
        observed: &like.map(|desired| desired.remote.nodes.clone()).unwrap_or_default(),
        resting: &BTreeSet::new(),
        lasting: &crate::desired::Lasting::default(),
    })
    .unwrap()
}

/// All that is not `c`'s, in words: prefixes, peers, routes, how nodes are reached, what this node leases from.
fn of_others(desired: &Desired) -> Vec<String> {
    let name = |index: u32| desired.node_names.get(&index).map_or("a", |name| name);
    let remote = &desired.remote;
    let prefixes = remote.prefixes.iter().filter(|(_, index)| name(**index) != "c");
    let mut lines: Vec<String> = prefixes.map(|(cidr, index)| format!("{cidr} {}", name(*index))).collect();
    let peers = remote.peers.iter().filter(|(_, peer)| name(peer.node) != "c");
    lines.extend(peers.map(|(ip, peer)| format!("{ip} {:?} {}", peer.kind, name(peer.node))));
    let nodes = remote.nodes.iter().filter(|(index, _)| name(**index) != "c");
    lines.extend(nodes.map(|(index, entry)| format!("{} {entry:?}", name(*index))));
    let others: Vec<IpAddr> =
        remote.nodes.iter().filter(|(index, _)| name(**index) != "c").filter_map(|(_, entry)| entry.tunnel).collect();
    let routes = desired.routes.values().filter(|route| match route.kind {
        crate::desired::RouteKind::Overlay { tunnel, .. } => others.contains(&tunnel),
        _ => true,
    });
    lines.extend(routes.map(|route| format!("{route:?}")));
    lines.push(format!("{:?} {:?}", desired.own_pod_cidrs, desired.own_internal_ips));
    lines.push(format!("{:?} {:?} {:?}", desired.own_addresses, desired.suppressed, desired.kept));
    lines
}

/// What is `c`'s lies nowhere where anybody else's is.
fn takes_nothing(desired: &Desired, honest: &[IpAddr]) -> Result<(), TestCaseError> {
    for (index, name) in &desired.node_names {
        if &**name != "c" {
            continue;
        }
        for (cidr, _) in desired.remote.prefixes.iter().filter(|(_, owner)| *owner == index) {
            let inside = honest.iter().find(|ip| cidr.contains(**ip));
            prop_assert_eq!(inside, None, "{} is c's", cidr);
            prop_assert!(special(*cidr).is_none(), "{}", cidr);
        }
        let peers = desired.remote.peers.iter().filter(|(_, peer)| peer.node == *index);
        for (ip, peer) in peers {
            prop_assert!(!honest.contains(ip), "{} is c's {:?}", ip, peer.kind);
            prop_assert!(special(crate::cidr::host(*ip)).is_none(), "{}", ip);
            let stray = peer.kind == PeerKind::Pod && ["192.0.2.77", "192.0.2.254"].contains(&ip.to_string().as_str());
            prop_assert!(!stray, "{} is this node's, or its gateway's", ip);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_node_that_lies_takes_nothing_from_anybody(lies in proptest::collection::vec(lie(), 1..12)) {
        let mut raw = honest();
        let honest: Vec<IpAddr> = raw.pods.values().flat_map(|pod| pod.ips.clone())
            .chain(["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2", "192.0.2.4", "10.96.0.10"].map(|ip| ip.parse().unwrap()))
            .collect();
        let mut screen = Screen::new(Own { node_name: "a".to_owned(), ..Own::default() });
        let passed = screen.screen(&raw).objects;
        let mut known = compute(&passed, None);
        let limits = Limits { frontends: 9, backends: 999, members: 999, of_one: 99, sets: 99, parts: 1, kept: 0 };
        let (mut engine, _) = Engine::new(limits, "a", &Found::default());
        engine.begin(&Arc::new(passed.clone()));
        let before = (of_others(&known), services(&engine), known_as(&passed, &honest));
        for lie in lies {
            tell(&mut raw, lie.clone());
            let passed = screen.screen(&raw);
            known = compute(&passed.objects, Some(&known));
            let gone = engine.apply(&Arc::new(passed.objects.clone())).superseded;
            gone.iter().for_each(|set| engine.release(set));
            let now = (of_others(&known), services(&engine), known_as(&passed.objects, &honest));
            prop_assert_eq!(&now, &before, "{:?}", lie);
            takes_nothing(&known, &honest)?;
            for (name, pod) in &raw.pods {
                let honest = pod.node.as_deref() != Some("c");
                prop_assert!(!honest || passed.objects.pods[name].ips == pod.ips, "{} lost {:?}", name, pod.ips);
            }
            for issue in passed.issues.iter() {
                let object = &issue.object.name.name;
                let liar = ["c", "d"].contains(&&**object) || ["0", "1", "y", "z"].contains(&&**object);
                prop_assert!(liar, "{} is blamed", issue);
            }
        }
    }

    /// What is followed is what a screen that sees all of it at once would say, where nobody claims what another has.
    #[test]
    fn following_is_the_same_as_looking_at_everything(lies in proptest::collection::vec(lie(), 1..12)) {
        let mut raw = objects(HONEST);
        let mut screen = Screen::new(Own { node_name: "a".to_owned(), ..Own::default() });
        screen.screen(&raw);
        for lie in lies {
            tell(&mut raw, lie);
            let followed = screen.screen(&raw);
            screen.all_pods(&raw);
            prop_assert_eq!(&screen.passed.objects.pods, &followed.objects.pods);
            prop_assert_eq!(&screen.issues(), &*followed.issues);
        }
    }
}
