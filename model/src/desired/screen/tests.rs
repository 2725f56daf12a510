//! What passes, one rule a test: objects as lines of text, what is left of them, and what is said.

use std::{net::IpAddr, sync::Arc};

use super::*;
use crate::objects::{Node, Phase, Service, ServiceType};

/// Lines: `node NAME IP,… CIDR,… [created N]`, `pod NAME NODE IP,… [created N] [terminating] [announced] [host] [ended]`,
/// `service NAME IP [created N]`.
pub(super) fn objects(text: &str) -> Objects {
    let mut objects = Objects::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let created = words.iter().position(|word| *word == "created").map_or(0, |at| words[at + 1].parse().unwrap());
        let has = |word| words.contains(&word);
        match words[0] {
            "node" => {
                let (internal_ips, pod_cidrs) = (list(words[2]), list(words[3]));
                let node = Node { name: words[1].into(), created, internal_ips, pod_cidrs, ..Node::default() };
                objects.nodes.insert(node.name.clone(), node.into());
            }
            "pod" => {
                let pod = pod(words[1], words[2], list(words[3]), created);
                let phase = if has("ended") { Phase::Failed } else { Phase::Running };
                let (terminating, announced, host_network) = (has("terminating"), has("announced"), has("host"));
                let pod = Pod { terminating, announced, host_network, phase, ..pod };
                objects.pods.insert(pod.name.clone(), pod.into());
            }
            "service" => {
                let service = Service {
                    name: ObjectName::new("x", words[1]),
                    created,
                    kind: ServiceType::ClusterIp,
                    cluster_ips: list(words[2]),
                    headless: false,
                    ports: vec![],
                    affinity: None,
                    local: false,
                    distribution: Default::default(),
                    other_proxy: None,
                };
                objects.services.insert(service.name.clone(), service.into());
            }
            _ => panic!("{line}"),
        }
    }
    objects
}

pub(super) fn pod(name: &str, node: &str, ips: Vec<IpAddr>, created: u64) -> Pod {
    Pod {
        name: ObjectName::new("x", name),
        uid: String::new(),
        labels: Default::default(),
        created,
        static_uid: None,
        announced: false,
        terminating: false,
        node: Some(node.into()),
        host_network: false,
        phase: Phase::Running,
        ips,
        ports: vec![],
    }
}

fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    text.split(',').filter(|part| *part != "-").map(|part| part.parse().unwrap()).collect()
}

fn on_a(cluster_cidrs: &str, node_cidrs: &str) -> Screen {
    let ranges = Ranges { cluster_cidrs: list(cluster_cidrs), node_cidrs: list(node_cidrs) };
    Screen::new(Own { node_name: "a".to_owned(), ranges, ..Own::default() })
}

/// What Nodes and Pods have, an object a line.
fn shown(objects: &Objects) -> Vec<String> {
    let join = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join(",") };
    let nodes = objects.nodes.values().map(|node| {
        let ips = join(node.internal_ips.iter().map(ToString::to_string).collect());
        format!("{} {ips} {}", node.name, join(node.pod_cidrs.iter().map(ToString::to_string).collect()))
    });
    let pods = objects.pods.values();
    let pods = pods.map(|pod| format!("{} {}", pod.name.name, join(pod.ips.iter().map(ToString::to_string).collect())));
    nodes.chain(pods).collect()
}

const TWO: &str = "node a 192.0.2.1 10.0.1.0/24 created 1\nnode b 192.0.2.2 10.0.2.0/24 created 2\n";

/// What is left of `text`, which comes after [`TWO`], and the words that the issues hold, an issue each.
#[track_caller]
fn check(screen: &mut Screen, text: &str, left: &[&str], said: &[&str]) {
    let passed = screen.screen(&objects(&format!("{TWO}{text}")));
    let two = ["a 192.0.2.1 10.0.1.0/24", "b 192.0.2.2 10.0.2.0/24"];
    let expected: Vec<&str> = two.into_iter().chain(left.iter().copied()).collect();
    assert_eq!(shown(&passed.objects), expected, "{text}\n{:#?}", passed.issues);
    let issues: Vec<String> = passed.issues.iter().map(ToString::to_string).collect();
    assert_eq!(issues.len(), said.len(), "{issues:#?}");
    for (issue, said) in issues.iter().zip(said) {
        assert!(issue.contains(said), "{issue:?} lacks {said:?}");
    }
}

#[track_caller]
fn anew(text: &str, left: &[&str], said: &[&str]) {
    check(&mut on_a("-", "-"), text, left, said);
}

#[test]
fn a_nodes_special_addresses_are_not_used() {
    for address in ["127.0.0.1", "169.254.169.254", "224.0.0.1", "0.0.0.0", "255.255.255.255", "fe80::1", "::1", "::"] {
        anew(&format!("node c {address} 10.0.3.0/24 created 3"), &["c - 10.0.3.0/24"], &[address]);
    }
    anew("node c ::ffff:192.0.2.1,192.0.2.3 -", &["c 192.0.2.3 -"], &["podCIDRs is empty", "IPv4 address within IPv6"]);
}

#[test]
fn a_nodes_special_or_broad_pod_cidr_is_left_out() {
    for cidr in [
        "169.254.0.0/24",
        "127.0.0.0/16",
        "224.0.0.0/24",
        "0.0.0.0/0",
        "::/0",
        "fe80::/64",
        "10.1.2.3/0",
        "::ffff:10.0.0.0/120",
    ] {
        let passed = on_a("-", "-").screen(&objects(&format!("{TWO}node c 203.0.113.3 {cidr} created 3")));
        assert!(passed.objects.nodes["c"].pod_cidrs.is_empty(), "{cidr}");
        assert!(passed.issues.iter().any(|issue| issue.to_string().contains("for no pod")), "{:?}", passed.issues);
    }
    for cidr in ["8.0.0.0/8", "2000::/3", "2001::/31"] {
        anew(&format!("node c 192.0.2.3 {cidr} created 3"), &["c 192.0.2.3 -"], &["is broader than"]);
    }
    anew("node c 192.0.2.3 10.16.0.0/12,2001:db8::/32 created 3", &["c 192.0.2.3 10.16.0.0/12,2001:db8::/32"], &[]);
}

#[test]
fn what_the_operator_says_counts() {
    let (cluster, nodes) = ("10.0.0.0/16", "192.0.2.0/24,2001:db8::/64");
    let line = "node c 192.0.2.3 10.1.3.0/24 created 3";
    check(&mut on_a(cluster, "-"), line, &["c 192.0.2.3 -"], &["10.1.3.0/24 lies outside of cluster-cidrs"]);
    let line = "node c 198.51.100.3,2001:db8:1::3 10.0.3.0/24 created 3";
    let said = ["198.51.100.3 lies outside of node-cidrs", "2001:db8:1::3 lies outside"];
    check(&mut on_a("-", nodes), line, &["c - 10.0.3.0/24"], &said);
    let line = "node c 192.0.2.3 192.0.2.128/25 created 3";
    check(&mut on_a("-", nodes), line, &["c 192.0.2.3 -"], &["overlaps 192.0.2.0/24 of node-cidrs"]);
    let pods = "pod p b 198.51.100.7\npod q b 192.0.2.77\npod r b 10.0.2.7";
    let said = ["198.51.100.7 lies outside of cluster-cidrs", "192.0.2.77 lies inside 192.0.2.0/24 of node-cidrs"];
    check(&mut on_a(cluster, nodes), pods, &["p -", "q -", "r 10.0.2.7"], &said);
    let line = "node c 10.0.77.1 10.0.3.0/24 created 3";
    check(&mut on_a(cluster, "-"), line, &["c - 10.0.3.0/24"], &["10.0.77.1 lies inside 10.0.0.0/16"]);
    // A range of one family says nothing about the other.
    let line = "node c 192.0.2.3 10.0.3.0/24,fd00:3::/64 created 3";
    check(&mut on_a(cluster, "192.0.2.0/24"), line, &["c 192.0.2.3 10.0.3.0/24,fd00:3::/64"], &[]);
}

#[test]
fn a_node_cannot_have_what_is_another_nodes() {
    anew(
        "node c 10.0.2.9 10.0.3.0/24 created 3",
        &["c - 10.0.3.0/24"],
        &["InternalIP 10.0.2.9 lies inside 10.0.2.0/24"],
    );
    anew("node c 192.0.2.2 10.0.3.0/24 created 3", &["c - 10.0.3.0/24"], &["192.0.2.2 is node b's too"]);
    anew(
        "node c 192.0.2.3 10.0.2.128/25 created 3",
        &["c 192.0.2.3 -"],
        &["10.0.2.128/25 overlaps 10.0.2.0/24 of node b"],
    );
    let said = ["192.0.2.0/25 holds 192.0.2.1, the InternalIP of node a", "192.0.2.3 lies inside 192.0.2.0/25"];
    anew("node c 192.0.2.3 192.0.2.0/25 created 3", &["c - -"], &said);
}

#[test]
fn a_nodes_address_is_no_older_services() {
    let service = "service s 10.96.0.1 created 1\n";
    let node = "node c 10.96.0.1 10.0.3.0/24 created 3";
    anew(&format!("{service}{node}"), &["c - 10.0.3.0/24"], &["10.96.0.1 is the ClusterIP of Service x/s"]);
    let node = "node c 192.0.2.3 10.96.0.0/24 created 3";
    anew(
        &format!("{service}{node}"),
        &["c 192.0.2.3 -"],
        &["10.96.0.0/24 holds 10.96.0.1, the ClusterIP of Service x/s"],
    );
    // A node that claims it later, however old the object is.
    let (mut screen, old) = (on_a("-", "-"), "node c 192.0.2.3 10.0.3.0/24 created 0\n");
    check(&mut screen, &format!("{service}{old}"), &["c 192.0.2.3 10.0.3.0/24"], &[]);
    let lies = format!("{service}{}", old.replace("192.0.2.3", "10.96.0.1"));
    check(&mut screen, &lies, &["c - 10.0.3.0/24"], &["10.96.0.1 is the ClusterIP of Service x/s"]);
    // A Service that comes later takes no node's address; what it is told, Services tell.
    anew("service s 192.0.2.2 created 9", &[], &[]);
}

#[test]
fn what_is_given_stays_whatever_older_objects_claim() {
    let mut screen = on_a("-", "-");
    check(&mut screen, "node old 192.0.2.9 - created 0", &["old 192.0.2.9 -"], &["podCIDRs is empty"]);
    for (claim, said) in [
        ("node old 192.0.2.9 10.0.2.0/25 created 0", "10.0.2.0/25 overlaps 10.0.2.0/24 of node b"),
        ("node old 192.0.2.9 10.0.0.0/22 created 0", "10.0.0.0/22 overlaps 10.0.1.0/24 of node a"),
    ] {
        check(&mut screen, claim, &["old 192.0.2.9 -"], &[said]);
    }
    let said = ["podCIDRs is empty", "192.0.2.2 is node b's too", "10.0.2.7 lies inside"];
    check(&mut screen, "node old 192.0.2.2,10.0.2.7,192.0.2.9 - created 0", &["old 192.0.2.9 -"], &said);
    // One that has not seen who was first goes by age.
    let passed = on_a("-", "-").screen(&objects(&format!("{TWO}node old 192.0.2.9 10.0.2.0/25 created 0")));
    assert_eq!(shown(&passed.objects), ["a 192.0.2.1 10.0.1.0/24", "b 192.0.2.2 -", "old 192.0.2.9 10.0.2.0/25"]);
}

#[test]
fn a_pod_cidr_that_leases_come_from_stays_this_nodes() {
    let leased = BTreeSet::from([IpAddr::from([10, 0, 1, 7])]);
    let mut screen = Screen::new(Own { node_name: "a".to_owned(), leased, ..Own::default() });
    let said = "10.0.0.0/16 overlaps 10.0.1.0/24 of node a";
    let passed = screen.screen(&objects(&format!("{TWO}node old 192.0.2.9 10.0.0.0/16 created 0")));
    let issues: Vec<String> = passed.issues.iter().map(ToString::to_string).collect();
    assert!(issues.iter().any(|issue| issue.contains(said)), "{issues:?}");
    assert_eq!(passed.objects.nodes["a"].pod_cidrs.len(), 1);
}

#[test]
fn a_pod_cannot_have_what_is_another_nodes_or_a_services() {
    let said = "10.0.2.7 lies inside 10.0.2.0/24, the pod CIDR of node b";
    anew(
        "node c 192.0.2.3 10.0.3.0/24 created 3\npod thief c 10.0.2.7 created 9\npod victim b 10.0.2.7",
        &["c 192.0.2.3 10.0.3.0/24", "thief -", "victim 10.0.2.7"],
        &[said],
    );
    anew("pod thief b 10.0.1.7", &["thief -"], &["the pod CIDR of node a"]);
    anew("pod thief a 10.0.2.7", &["thief -"], &["the pod CIDR of node b"]);
    anew("pod thief b 192.0.2.1", &["thief -"], &["192.0.2.1 belongs to node a"]);
    anew("pod thief b 10.96.0.1\nservice s 10.96.0.1 created 9", &["thief -"], &["the ClusterIP of Service x/s"]);
    for address in ["169.254.169.254", "127.0.0.1", "fe80::1", "224.0.0.1", "::ffff:10.0.2.7"] {
        anew(&format!("pod thief b {address},10.0.2.9"), &["thief 10.0.2.9"], &[address]);
    }
    // What is no claim of its own is not looked at, and of one that goes nothing is said.
    anew("pod host b 192.0.2.2 host\npod ended b 10.0.1.9 ended", &["ended 10.0.1.9", "host 192.0.2.2"], &[]);
    anew("pod thief b 10.0.1.7 terminating", &["thief -"], &[]);
}

#[test]
fn an_address_of_nobodys_cidr_stays_with_the_node_that_had_it_first() {
    let mut screen = on_a("-", "-");
    check(&mut screen, "pod p b 172.16.0.7 created 5", &["p 172.16.0.7"], &[]);
    let both = "pod p b 172.16.0.7 created 5\npod q a 172.16.0.7 created 1";
    let said = ["Pod x/q: status.podIPs: 172.16.0.7 belongs to pod x/p"];
    check(&mut screen, both, &["p 172.16.0.7", "q -"], &said);
    // Until its pods are gone, or on their way.
    let going = "pod p b 172.16.0.7 created 5 terminating\npod q a 172.16.0.7 created 1";
    check(&mut screen, going, &["p -", "q 172.16.0.7"], &[]);
    check(&mut screen, both, &["p -", "q 172.16.0.7"], &["Pod x/p: status.podIPs: 172.16.0.7 belongs to pod x/q"]);
    check(&mut screen, "pod p b 172.16.0.7 created 5", &["p 172.16.0.7"], &[]);
    // Where both are new, the elder, and one that its kubelet knows.
    anew(both, &["p -", "q 172.16.0.7"], &["Pod x/p"]);
    let announced = "pod p b 172.16.0.7 created 5\npod q a 172.16.0.7 created 1 announced";
    anew(announced, &["p 172.16.0.7", "q -"], &["Pod x/q"]);
}

#[test]
fn an_address_of_a_node_without_pod_cidrs_is_nobody_elses() {
    let mut screen = on_a("-", "-");
    let (d, pod) = ("node d 192.0.2.4 - created 7\n", "pod p d 172.16.0.7 created 8\n");
    let left = ["d 192.0.2.4 -", "p 172.16.0.7"];
    check(&mut screen, &format!("{d}{pod}"), &left, &["podCIDRs is empty"]);
    let all = ["c 192.0.2.3 -", left[0], left[1]];
    let said = ["172.16.0.0/16 holds 172.16.0.7 of pod x/p", "podCIDRs is empty"];
    check(&mut screen, &format!("{d}{pod}node c 192.0.2.3 172.16.0.0/16 created 0"), &all, &said);
    let said = ["podCIDRs is empty", "172.16.0.7 is pod x/p's", "podCIDRs is empty"];
    check(&mut screen, &format!("{d}{pod}node c 172.16.0.7,192.0.2.3 - created 0"), &all, &said);
    // One whose node has a pod CIDR, and which lies outside of it, keeps no node from having its own.
    let mut screen = on_a("-", "-");
    check(&mut screen, "pod p b 10.0.3.7 created 3", &["p 10.0.3.7"], &[]);
    let left = ["c 192.0.2.3 10.0.3.0/24", "p -"];
    check(&mut screen, "pod p b 10.0.3.7\nnode c 192.0.2.3 10.0.3.0/24 created 9", &left, &["the pod CIDR of node c"]);
}

#[test]
fn a_service_that_comes_takes_its_address_from_pods_that_lie() {
    let mut screen = on_a("-", "-");
    check(&mut screen, "pod p b 10.96.0.9", &["p 10.96.0.9"], &[]);
    check(&mut screen, "pod p b 10.96.0.9\nservice s 10.96.0.9", &["p -"], &["Service x/s"]);
    check(&mut screen, "pod p b 10.96.0.9", &["p 10.96.0.9"], &[]);
}

#[test]
fn one_node_with_thousands_of_lies_fills_no_log() {
    let lies: String = (0..1_000).map(|number| format!("pod p{number:04} b 10.0.1.7\n")).collect();
    let mut screen = on_a("-", "-");
    let passed = screen.screen(&objects(&format!("{TWO}{lies}")));
    assert_eq!(passed.issues.len(), NAMED + 1);
    let last = passed.issues.last().unwrap().to_string();
    assert!(last.starts_with("Node b: 1000 pods on this node have addresses that are not theirs"), "{last}");
}

#[test]
fn what_is_not_touched_is_the_same_object() {
    let raw = objects(&format!("{TWO}pod p b 10.0.2.7\npod q b 10.0.1.7"));
    let passed = on_a("-", "-").screen(&raw).objects;
    let p = ObjectName::new("x", "p");
    assert!(Arc::ptr_eq(&raw.pods[&p], &passed.pods[&p]) && Arc::ptr_eq(&raw.nodes["a"], &passed.nodes["a"]));
}
