//! Desired state, one rule a test: objects as lines of text, and what follows from them.

use std::net::Ipv4Addr;

use super::*;
use crate::{
    objects::{NetworkPolicy, Node, ObjectName, Objects, Phase, Pod},
    selector::Selector,
};

/// A cluster in text, seen from node `a`. Lines:
/// `node NAME IP,… CIDR,… [created N] [away]` (`away`: no device has the IPs), `pod NAME NODE IP,… [created N] [terminating] [ended] [host]`,
/// `lease IP`, `path IP NEXT_HOP IFINDEX MTU [learned N] [source IP] [multipath]`, `policy NAME`, `cluster CIDR`, `native`, `auto`,
/// `overlay-mtu N`, `uplinks IFINDEX,…`, `capacity N`, `local IP IFINDEX`, `former IP NODE`, `young IP`, `kernel-chooses`.
#[derive(Default)]
pub(super) struct World {
    objects: Objects,
    endpoints: Vec<LocalEndpoint>,
    settings: Settings,
    underlay: Underlay,
    observed: Map<u32, NodeEntry>,
    lasting: Lasting,
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    text.split(',').filter(|part| *part != "-").map(|part| part.parse().unwrap()).collect()
}

pub(super) fn world(text: &str) -> World {
    let mut world = World::default();
    world.underlay.vxlan_ifindex = Some(9);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let created = words.iter().position(|word| *word == "created").map_or(0, |at| words[at + 1].parse().unwrap());
        let learned = words.iter().position(|word| *word == "learned").map(|at| words[at + 1].parse().unwrap());
        let source = words.iter().position(|word| *word == "source").map(|at| words[at + 1].parse().unwrap());
        let has = |word| words.contains(&word);
        match words[0] {
            "node" => {
                let node = Node {
                    name: words[1].into(),
                    created,
                    internal_ips: list(words[2]),
                    pod_cidrs: list(words[3]),
                    ..Node::default()
                };
                if words[1] == "a" && !has("away") {
                    world.underlay.local.extend(node.internal_ips.iter().map(|ip| (*ip, 2)));
                }
                world.objects.nodes.insert(node.name.clone(), node.into());
            }
            "pod" => {
                let pod = Pod {
                    name: ObjectName::new("default", words[1]),
                    uid: String::new(),
                    labels: Default::default(),
                    created,
                    static_uid: None,
                    announced: has("announced"),
                    terminating: has("terminating"),
                    node: Some(words[2].into()),
                    host_network: has("host"),
                    phase: if has("ended") { Phase::Succeeded } else { Phase::Running },
                    ips: list(words[3]),
                    ports: vec![],
                };
                world.objects.pods.insert(pod.name.clone(), pod.into());
            }
            "lease" => {
                world.endpoints.push(LocalEndpoint { container_id: words[1].into(), addresses: list(words[1]) });
            }
            "path" => {
                let path = Path {
                    next_hop: words[2].parse().unwrap(),
                    ifindex: words[3].parse().unwrap(),
                    mtu: words[4].parse().unwrap(),
                    source,
                    learned,
                    multipath: has("multipath"),
                };
                world.underlay.paths.insert(words[1].parse().unwrap(), path);
            }
            "policy" => {
                let policy = NetworkPolicy {
                    name: ObjectName::new("default", words[1]),
                    pod_selector: Selector::default(),
                    isolates: vec![],
                    ingress: vec![],
                    egress: vec![],
                };
                world.objects.policies.insert(policy.name.clone(), policy.into());
            }
            "cluster" => world.settings.cluster_cidrs = list(words[1]),
            "native" => world.settings.routing = Routing::Native,
            "auto" => world.settings.routing = Routing::Auto,
            "overlay-mtu" => world.underlay.vxlan_mtu = words[1].parse().unwrap(),
            "uplinks" => world.underlay.uplinks = list::<u32>(words[1]).into_iter().collect(),
            "local" => _ = world.underlay.local.insert(words[1].parse().unwrap(), words[2].parse().unwrap()),
            "former" => _ = world.lasting.former.insert(words[1].parse().unwrap(), words[2].into()),
            "young" => _ = world.lasting.young.insert(words[1].parse().unwrap()),
            "kernel-chooses" => world.settings.outer_source = OuterSource::WhereNeeded,
            "capacity" => world.settings.node_capacity = words[1].parse().unwrap(),
            _ => panic!("{line}"),
        }
    }
    world
}

pub(super) fn compute(world: &World) -> Result<Desired, DesiredError> {
    let ranges = Ranges { cluster_cidrs: world.settings.cluster_cidrs.clone(), node_cidrs: vec![] };
    let screened = Screen::new(Own { node_name: "a".to_owned(), ranges, ..Own::default() }).screen(&world.objects);
    let computed = desired(Input {
        objects: &screened.objects,
        node_name: "a",
        endpoints: &world.endpoints,
        settings: &world.settings,
        underlay: &world.underlay,
        observed: &world.observed,
        resting: &BTreeSet::new(),
        lasting: &world.lasting,
    })?;
    let issues = screened.issues.iter().cloned().chain(computed.issues).collect();
    Ok(Desired { issues, ..computed })
}

/// Peers, prefixes and routes in text, then the issues.
fn show(desired: &Desired) -> Vec<String> {
    let remote = &desired.remote;
    let name = |index: u32| desired.node_names.get(&index).map_or("a".to_owned(), ToString::to_string);
    let peers = remote.peers.iter().map(|(ip, peer)| format!("peer {ip} {:?} {}", peer.kind, name(peer.node)));
    let prefixes = remote.prefixes.iter().map(|(cidr, index)| format!("prefix {cidr} {}", name(*index)));
    let routes = desired.routes.values().map(|route| {
        let kind = match route.kind {
            RouteKind::Overlay { tunnel, source: None } => format!("tunnel {tunnel}"),
            RouteKind::Overlay { tunnel, source: Some(source) } => format!("tunnel {tunnel} from {source}"),
            RouteKind::Via { next_hop, ifindex } => format!("via {next_hop} dev {ifindex}"),
            RouteKind::Unreachable => "unreachable".to_owned(),
        };
        let source = route.prefer_source.map_or(String::new(), |source| format!(" src {source}"));
        let mtu = route.mtu.map_or(String::new(), |mtu| format!(" mtu {mtu}"));
        format!("route {} {kind}{source}{mtu}", route.destination)
    });
    peers.chain(prefixes).chain(routes).chain(desired.issues.iter().map(ToString::to_string)).collect()
}

/// The lines of [`show`] that begin with `kind` ("" for all) must be these.
fn check(text: &str, kind: &str, expected: &[&str]) {
    let desired = compute(&world(text)).unwrap();
    let shown: Vec<String> = show(&desired).into_iter().filter(|line| line.starts_with(kind)).collect();
    assert_eq!(shown, expected, "{text}\n{desired:#?}");
}

const TWO: &str = "
    node a 192.0.2.1 10.0.1.0/24
    node b 192.0.2.2 10.0.2.0/24
    path 192.0.2.2 192.0.2.2 2 1500
";

const DUAL: &str = "
    node a 192.0.2.1,2001:db8::1 10.0.1.0/24,fd00:0:0:1::/64
    node b 192.0.2.2,2001:db8::2 10.0.2.0/24,fd00:0:0:2::/64
    path 192.0.2.2 192.0.2.2 2 1500
    path 2001:db8::2 2001:db8::2 2 1400
";

#[test]
fn two_nodes_know_each_other() {
    check(
        &format!("{TWO} cluster 10.0.0.0/16"),
        "",
        &[
            "peer 192.0.2.1 Node a",
            "peer 192.0.2.2 Node b",
            "prefix 10.0.1.0/24 a",
            "prefix 10.0.2.0/24 b",
            "route 10.0.0.0/16 unreachable",
            "route 10.0.1.0/24 unreachable",
            "route 10.0.2.0/24 tunnel 192.0.2.2 from 192.0.2.1 src 192.0.2.1",
        ],
    );
}

#[test]
fn an_overlay_entry_carries_the_tunnel_and_what_it_leaves_of_the_mtu() {
    let entry = compute(&world(DUAL)).unwrap().remote.nodes[&1].clone();
    let expected = NodeEntry {
        forwarding: Forwarding::Vxlan,
        ifindex: 9,
        mtu: 1450,
        tunnel: Some("192.0.2.2".parse().unwrap()),
        source: Some("192.0.2.1".parse().unwrap()),
        uplink: None,
        next_hop_v4: None,
        next_hop_v6: None,
        internal_v4: Some(Ipv4Addr::new(192, 0, 2, 2)),
        internal_v6: Some("2001:db8::2".parse().unwrap()),
    };
    assert_eq!(entry, expected);
}

/// The uplink of what goes to `b`, and the outer source.
#[track_caller]
fn uplink(text: &str, expected: Option<(u32, &str)>, source: Option<&str>) {
    let desired = compute(&world(text)).unwrap();
    let entry = desired.remote.nodes.values().next().expect("an entry");
    let found = entry.uplink.map(|uplink| (uplink.ifindex, uplink.next_hop.to_string()));
    assert_eq!(found.as_ref().map(|(ifindex, hop)| (*ifindex, hop.as_str())), expected, "{text}");
    assert_eq!(entry.source.map(|ip| ip.to_string()).as_deref(), source, "{text}");
    assert_eq!(entry.ifindex, 9, "the overlay device stands by");
}

#[test]
fn programs_encapsulate_over_ipv4_by_a_device_that_carries_them_and_one_next_hop() {
    let two =
        |own: &str, other: &str, rest: &str| format!("node a {own} 10.0.1.0/24\nnode b {other} 10.0.2.0/24\n{rest}");
    let v4 = |rest: &str| two("192.0.2.1", "192.0.2.2", rest);
    uplink(&v4("path 192.0.2.2 192.0.2.2 2 1500\nuplinks 2"), Some((2, "192.0.2.2")), Some("192.0.2.1"));
    uplink(&v4("path 192.0.2.2 192.0.2.254 3 1500\nuplinks 2,3"), Some((3, "192.0.2.254")), Some("192.0.2.1"));
    // RFC 8950: an IPv4 route with an IPv6 next hop.
    uplink(&v4("path 192.0.2.2 fe80::9 2 1500\nuplinks 2"), Some((2, "fe80::9")), Some("192.0.2.1"));
    uplink(&v4("path 192.0.2.2 192.0.2.2 2 1500\nuplinks 3"), None, Some("192.0.2.1"));
    uplink(&v4("path 192.0.2.2 192.0.2.254 2 1500 multipath\nuplinks 2"), None, Some("192.0.2.1"));
    let v6 = two("2001:db8::1", "2001:db8::2", "path 2001:db8::2 2001:db8::2 2 1500\nuplinks 2");
    uplink(&v6, None, Some("2001:db8::1"));
}

#[test]
fn a_program_names_its_source_where_the_kernel_would_choose() {
    let two = "node a 192.0.2.1 10.0.1.0/24\nnode b 192.0.2.2 10.0.2.0/24\nkernel-chooses\n";
    let path = "path 192.0.2.2 192.0.2.2 2 1500 source 192.0.2.1\n";
    uplink(&format!("{two}{path}"), None, None);
    uplink(&format!("{two}{path}uplinks 2"), Some((2, "192.0.2.2")), Some("192.0.2.1"));
    let away = two.replace("10.0.1.0/24", "10.0.1.0/24 away");
    uplink(&format!("{away}local 192.0.2.77 2\n{path}uplinks 2"), None, None);
}

#[test]
fn the_tunnel_takes_the_first_family_of_this_node_that_both_have() {
    let routes = |own: &str, other: &str| {
        format!(
            "node a {own} 10.0.1.0/24\nnode b {other} 10.0.2.0/24\npath 192.0.2.2 192.0.2.2 2 1500\npath 2001:db8::2 2001:db8::2 2 1500"
        )
    };
    let v6 = &["route 10.0.2.0/24 tunnel 2001:db8::2 from 2001:db8::1 src 192.0.2.1"];
    check(&routes("2001:db8::1,192.0.2.1", "192.0.2.2,2001:db8::2"), "route 10.0.2", v6);
    let v4 = &["route 10.0.2.0/24 tunnel 192.0.2.2 from 192.0.2.1 src 192.0.2.1"];
    check(&routes("192.0.2.1,2001:db8::1", "2001:db8::2,192.0.2.2"), "route 10.0.2", v4);
    check(&routes("2001:db8::1,192.0.2.1", "192.0.2.2"), "route 10.0.2", v4);
    check(&routes("192.0.2.1", "2001:db8::2"), "route 10.0.2", &[]);
    check(
        &routes("192.0.2.1", "2001:db8::2"),
        "Node",
        &[
            "Node b: status.addresses has no InternalIP of a family that this node has too, so there is no way to it; add one",
        ],
    );
}

#[test]
fn an_ipv6_underlay_costs_seventy_bytes() {
    let text =
        "node a 2001:db8::1 fd00:0:0:1::/64\nnode b 2001:db8::2 fd00:0:0:2::/64\npath 2001:db8::2 fe80::1 2 1500";
    assert_eq!(compute(&world(text)).unwrap().remote.nodes[&1].mtu, 1430);
}

#[test]
fn a_family_without_internal_ip_is_sent_from_the_gateway_address() {
    let text = "
        node a 192.0.2.1 10.0.1.0/24,fd00:0:0:1::/64
        node b 192.0.2.2 10.0.2.0/24,fd00:0:0:2::/64
        path 192.0.2.2 192.0.2.2 2 1500";
    check(text, "route fd00:0:0:2", &["route fd00:0:0:2::/64 tunnel 192.0.2.2 from 192.0.2.1 src fd00:0:0:1::1"]);
    let desired = compute(&world(text)).unwrap();
    assert_eq!(desired.own_addresses, ["fd00:0:0:1::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(desired.own_pod_cidrs.len(), 2);
}

#[test]
fn remote_pods_are_peers_unless_they_have_no_address_of_their_own() {
    let pods = "
        pod known b 10.0.2.7
        pod ended b 10.0.2.8 ended
        pod host b 192.0.2.2 host
        pod here a 10.0.1.7";
    check(&format!("{TWO}{pods}"), "peer 10", &["peer 10.0.2.7 Pod b"]);
}

#[test]
fn a_pod_outside_of_its_nodes_cidrs_gets_a_route_of_its_own() {
    let pods = "\npod in b 10.0.2.7\npod out b 172.16.0.7";
    check(
        &format!("{TWO}{pods}"),
        "route",
        &[
            "route 10.0.1.0/24 unreachable",
            "route 10.0.2.0/24 tunnel 192.0.2.2 from 192.0.2.1 src 192.0.2.1",
            "route 172.16.0.7/32 tunnel 192.0.2.2 from 192.0.2.1 src 192.0.2.1",
        ],
    );
}

#[test]
fn of_two_pods_with_one_address_the_present_owner_keeps_it() {
    let three = format!("{TWO}\nnode c 192.0.2.3 10.0.3.0/24\npath 192.0.2.3 192.0.2.3 2 1500\n");
    let cases = [
        ("pod x b 10.0.9.9 created 5\npod y c 10.0.9.9 created 6", "b"),
        ("pod x b 10.0.9.9 created 7\npod y c 10.0.9.9 created 6", "c"),
        ("pod x b 10.0.9.9 created 5\npod y b 10.0.9.9 created 6", "b"),
        ("pod x b 10.0.9.9 created 7 terminating\npod y c 10.0.9.9 created 6", "c"),
        ("pod x b 10.0.9.9 created 7\npod y c 10.0.9.9 created 8 ended", "b"),
        ("pod x b 10.0.9.9\npod y c 10.0.9.9", "b"),
    ];
    for (pods, owner) in cases {
        check(&format!("{three}{pods}"), "peer 10", &[&format!("peer 10.0.9.9 Pod {owner}")]);
    }
    check(
        &format!("{three}pod x b 10.0.2.9 created 5\npod y b 10.0.2.9 created 6"),
        "Pod",
        &[
            "Pod default/x: status.podIPs: 10.0.2.9 belongs to pod default/y, so it is ignored here; delete the pod that is stale",
        ],
    );
    check(&format!("{three}pod x b 10.0.9.9 terminating\npod y c 10.0.9.9"), "Pod", &[]);
}

#[test]
fn a_leased_address_is_never_a_peer() {
    let text = format!("{TWO}\npod old b 172.16.0.7\nlease 172.16.0.7");
    check(&text, "peer 172", &[]);
    check(
        &text,
        "Pod",
        &[
            "Pod default/old: status.podIPs: 172.16.0.7 belongs to a pod of this node, so it is ignored here; delete the pod that is stale",
        ],
    );
}

#[test]
fn a_pod_cannot_take_a_nodes_address() {
    let text = format!("{TWO}\npod thief b 192.0.2.1");
    check(&text, "peer 192.0.2.1", &["peer 192.0.2.1 Node a"]);
    check(
        &text,
        "Pod",
        &[
            "Pod default/thief: status.podIPs: 192.0.2.1 belongs to node a, so it is ignored here; delete the pod that is stale",
        ],
    );
}

#[test]
fn what_this_node_has_itself_is_nobody_elses() {
    let mut world =
        world(&format!("{TWO}\nnode c 192.0.2.3 172.17.0.0/24\npath 192.0.2.3 192.0.2.3 2 1500\npod p b 192.0.2.254"));
    world.underlay.kept = ["172.17.0.1".parse().unwrap(), "10.0.1.1".parse().unwrap()].into();
    world.underlay.local.insert("192.0.2.254".parse().unwrap(), 2);
    let desired = compute(&world).unwrap();
    let said = |part: &str| desired.issues.iter().any(|issue| issue.to_string().contains(part));
    assert!(
        said("Node c: its pod CIDR 172.17.0.0/24 holds 172.17.0.1")
            && said("Pod default/p: status.podIPs: 192.0.2.254")
    );
    assert_eq!(desired.issues.len(), 2, "{:?}", desired.issues);
    let left: Vec<String> =
        show(&desired).into_iter().filter(|line| line.contains("172.17") || line.contains(".254")).collect();
    assert_eq!(left.len(), 2, "{left:?}: the issues alone");
}

#[test]
fn pods_of_an_unknown_node_are_left_out_with_one_note() {
    let text = format!("{TWO}\npod p1 ghost 10.0.7.1\npod p2 ghost 10.0.7.2");
    check(&text, "peer 10", &[]);
    check(
        &text,
        "Node",
        &[
            "Node ghost: 2 pods, default/p1 among them, are on this node, but it has no Node object, so they are left out; add it",
        ],
    );
}

#[test]
fn the_older_node_keeps_an_overlapping_cidr() {
    let text = "
        node a 192.0.2.1 10.0.1.0/24
        node b 192.0.2.2 10.0.0.0/16,10.9.0.0/24 created 9
        path 192.0.2.2 192.0.2.2 2 1500";
    check(text, "prefix", &["prefix 10.0.1.0/24 a", "prefix 10.9.0.0/24 b"]);
    check(
        text,
        "Node",
        &[
            "Node b: spec.podCIDRs[0] 10.0.0.0/16 overlaps 10.0.1.0/24 of node a and is left out; give one of them another",
        ],
    );
}

#[test]
fn cidrs_that_overlap_on_one_node_or_have_host_bits_are_named() {
    check(
        "node a 192.0.2.1 10.0.1.7/24,10.0.1.128/25",
        "Node",
        &[
            "Node a: spec.podCIDRs[0] 10.0.1.7/24 has host bits set; it is read as 10.0.1.0/24; write it so",
            "Node a: spec.podCIDRs[1] 10.0.1.128/25 overlaps 10.0.1.0/24 of node a and is left out; give one of them another",
        ],
    );
}

#[test]
fn a_node_without_cidr_or_address_is_named() {
    check(
        "node a - -",
        "Node",
        &[
            "Node a: spec.podCIDRs is empty; give the node a pod CIDR, since its pods get no addresses without one",
            "Node a: status.addresses has no InternalIP, so other nodes cannot reach its pods; add one",
        ],
    );
}

#[test]
fn an_internal_ip_of_two_nodes_stays_with_this_one() {
    let text = "
        node b 192.0.2.1,192.0.2.2 10.0.2.0/24
        node a 192.0.2.1 10.0.1.0/24 created 9
        path 192.0.2.2 192.0.2.2 2 1500";
    check(text, "peer", &["peer 192.0.2.1 Node a", "peer 192.0.2.2 Node b"]);
    check(
        text,
        "Node",
        &["Node b: status.addresses: InternalIP 192.0.2.1 is node a's too and is ignored here; correct one of them"],
    );
}

#[test]
fn an_internal_ip_among_pod_addresses_is_named() {
    let inside = "lies inside";
    let issues = |text: &str| {
        let desired = compute(&world(text)).unwrap();
        desired.issues.iter().filter(|issue| issue.to_string().contains(inside)).count()
    };
    assert_eq!(issues(&format!("{TWO}cluster 192.0.0.0/16")), 2);
    assert_eq!(issues("node a 10.0.1.9 10.0.1.0/24"), 1);
    assert_eq!(issues(TWO), 0);
}

#[test]
fn a_node_without_a_path_is_named_and_left_out_until_it_stands() {
    let text = TWO.replace("path 192.0.2.2", "path 192.0.2.77");
    let mut world = world(&text);
    let without = compute(&world).unwrap();
    assert_eq!(without.remote.nodes.len(), 0);
    assert_eq!(without.issues.len(), 1, "{:?}", without.issues);
    world.observed = compute(&self::world(TWO)).unwrap().remote.nodes;
    assert_eq!(compute(&world).unwrap().remote.nodes, world.observed);
}

#[test]
fn native_routing_needs_a_next_hop_of_each_family() {
    let native = format!("{DUAL}native");
    check(
        &native,
        "route",
        &[
            "route 10.0.1.0/24 unreachable",
            "route 10.0.2.0/24 via 192.0.2.2 dev 2 src 192.0.2.1",
            "route fd00:0:0:1::/64 unreachable",
            "route fd00:0:0:2::/64 via 2001:db8::2 dev 2 src 2001:db8::1",
        ],
    );
    assert_eq!(compute(&world(&native)).unwrap().remote.nodes[&1].mtu, 1400);
    let v4_only = native.replace("path 2001:db8::2", "path 2001:db8::3");
    check(&v4_only, "route fd00:0:0:2", &[]);
    check(
        &v4_only,
        "Node",
        &[
            "Node b: no IPv6 next hop for native routing, so its IPv6 pods cannot be reached; give it an InternalIP of that family that is on link or routed, or use VXLAN",
        ],
    );
    check(
        &native.replace("2001:db8::2 2 1400", "2001:db8::2 3 1400"),
        "Node",
        &[
            "Node b: its IPv4 and IPv6 next hops leave by different devices (2 and 3); IPv6 is left out; route both by one device, or use VXLAN",
        ],
    );
}

#[test]
fn automatic_routing_is_native_on_one_link_and_a_tunnel_elsewhere() {
    let auto = format!("{DUAL}auto");
    let native = "route 10.0.2.0/24 via 192.0.2.2 dev 2 src 192.0.2.1";
    check(&auto, "route 10.0.2", &[native]);
    let tunnel = "route 10.0.2.0/24 tunnel 192.0.2.2 from 192.0.2.1 src 192.0.2.1";
    // A router between, for one family or both; another device for one; no path for one.
    for (from, to) in [
        ("path 192.0.2.2 192.0.2.2", "path 192.0.2.2 192.0.2.254"),
        ("path 2001:db8::2 2001:db8::2", "path 2001:db8::2 2001:db8::ff"),
        ("2001:db8::2 2 1400", "2001:db8::2 3 1400"),
        ("path 2001:db8::2", "path 2001:db8::3"),
    ] {
        check(&auto.replace(from, to), "route 10.0.2", &[tunnel]);
    }
}

#[test]
fn a_family_without_pods_does_not_decide_about_the_link() {
    let auto = format!("{DUAL}auto").replace(",fd00:0:0:2::/64", "").replace("path 2001:db8::2", "path 2001:db8::3");
    check(&auto, "route 10.0.2", &["route 10.0.2.0/24 via 192.0.2.2 dev 2 src 192.0.2.1"]);
}

#[test]
fn what_a_router_said_about_its_mtu_counts_for_the_tunnel() {
    let learned = format!("{TWO}overlay-mtu 1450").replace("2 1500", "2 1500 learned 1400");
    assert_eq!(compute(&world(&learned)).unwrap().remote.nodes[&1].mtu, 1350);
    check(&learned, "route 10.0.2", &["route 10.0.2.0/24 tunnel 192.0.2.2 from 192.0.2.1 src 192.0.2.1 mtu 1350"]);
    check(
        &format!("{TWO}overlay-mtu 1450"),
        "route 10.0.2",
        &["route 10.0.2.0/24 tunnel 192.0.2.2 from 192.0.2.1 src 192.0.2.1"],
    );
}

#[test]
fn a_lease_matters_where_somebody_else_claims_its_address() {
    let text = format!("{TWO} pod p b 10.0.2.5\nlease 10.0.1.7\nlease 10.0.2.6\npod q b 10.0.2.6");
    let desired = compute(&world(&text)).unwrap();
    let depends = ["10.0.2.5", "10.0.2.6", "10.0.1.7", "10.0.1.8", "192.0.2.2"];
    let depends = depends.map(|ip| desired.depends_on_lease(ip.parse().unwrap()));
    assert_eq!(depends, [true, true, false, false, true]);
}

#[test]
fn a_changed_node_gets_another_index_and_an_unchanged_one_keeps_it() {
    let mut world = world(TWO);
    world.observed = compute(&world).unwrap().remote.nodes;
    assert_eq!(compute(&world).unwrap().remote.nodes, world.observed);
    world.underlay.vxlan_ifindex = Some(10);
    let moved = compute(&world).unwrap().remote;
    assert_eq!(moved.nodes.keys().collect::<Vec<_>>(), [&2]);
    assert_eq!(moved.prefixes.values().collect::<Vec<_>>(), [&0, &2]);
}

#[test]
fn nodes_that_do_not_fit_are_named() {
    let text = format!("{TWO}\nnode c 192.0.2.3 10.0.3.0/24\npath 192.0.2.3 192.0.2.3 2 1500\ncapacity 1");
    check(&text, "prefix", &["prefix 10.0.1.0/24 a", "prefix 10.0.2.0/24 b"]);
    check(
        &text,
        "Node",
        &[
            "Node c: the node map holds 1 nodes and is full, so this one is left out: its pods are not reached; Ferrule has room for no more nodes",
        ],
    );
}

#[test]
fn without_its_own_node_or_its_overlay_device_nothing_changes() {
    let error = compute(&world("node b 192.0.2.2 10.0.2.0/24")).unwrap_err();
    assert_eq!(error.to_string(), "node a has no Node object; add it, or correct --node-name");
    let mut world = world(TWO);
    world.underlay.vxlan_ifindex = None;
    assert_eq!(compute(&world), Err(DesiredError::NoOverlayDevice));
}

#[test]
#[ignore = "measures; run with --release --ignored --nocapture"]
fn a_thousand_nodes_and_a_hundred_thousand_pods_are_quick() {
    let mut text = String::from("node a 192.0.2.1 10.0.0.0/24\n");
    for node in 1..=1000 {
        let ip = format!("172.16.{}.{}", node / 250, node % 250 + 1);
        let cidr = format!("10.{}.{}.0/24", node / 250 + 1, node % 250);
        text += &format!("node n{node} {ip} {cidr}\npath {ip} {ip} 2 1500\n");
        for pod in 0..100 {
            text += &format!("pod p{node}-{pod} n{node} {}.{}\n", cidr.trim_end_matches(".0/24"), pod + 2);
        }
    }
    let mut world = world(&text);
    let start = std::time::Instant::now();
    let first = compute(&world).unwrap();
    eprintln!("desired {:?}, {} peers", start.elapsed(), first.remote.peers.len());
    let start = std::time::Instant::now();
    let steps = crate::plan::plan(&Remote::default(), &first.remote);
    eprintln!("plan {:?}, {} steps", start.elapsed(), steps.len());
    world.observed = first.remote.nodes.clone();
    let start = std::time::Instant::now();
    let again = compute(&world).unwrap();
    assert!(crate::plan::plan(&first.remote, &again.remote).is_empty());
    eprintln!("desired and plan without a change {:?}", start.elapsed());
}
