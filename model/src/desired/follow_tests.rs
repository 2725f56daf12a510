//! What follows changes of pods, against what computes everything.

use std::{collections::BTreeSet, net::IpAddr};

use proptest::prelude::*;

use super::super::{Desired, Input, LocalEndpoint, Own, Path, Screen, Settings, Underlay, desired};
use crate::{
    objects::{Node, Objects},
    testing::{Cluster, Event, Step, cases, cluster},
};

fn screen(cluster: &Cluster) -> Screen {
    Screen::new(Own { node_name: cluster.node_name.clone(), ..Own::default() })
}

/// The cluster with the objects that pass.
fn screened(screen: &mut Screen, cluster: &Cluster) -> Cluster {
    Cluster { objects: screen.screen(&cluster.objects).objects, ..cluster.clone() }
}

fn compute(cluster: &Cluster, like: Option<&Desired>) -> Desired {
    let others = cluster.objects.nodes.values().flat_map(|node| node.internal_ips.clone());
    let path =
        |ip: IpAddr| (ip, Path { next_hop: ip, ifindex: 2, mtu: 1500, source: None, learned: None, multipath: false });
    let underlay =
        Underlay { paths: others.map(path).collect(), vxlan_ifindex: Some(7), vxlan_mtu: 1450, ..Underlay::default() };
    let leases = cluster.endpoints.iter().map(|endpoint| LocalEndpoint {
        container_id: endpoint.index.to_string(),
        addresses: endpoint.addresses.clone(),
    });
    desired(Input {
        objects: &cluster.objects,
        node_name: &cluster.node_name,
        endpoints: &leases.collect::<Vec<_>>(),
        settings: &Settings::default(),
        underlay: &underlay,
        observed: &like.map(|desired| desired.remote.nodes.clone()).unwrap_or_default(),
        resting: &BTreeSet::new(),
        lasting: &crate::desired::Lasting::default(),
    })
    .unwrap()
}

fn leased(cluster: &Cluster) -> BTreeSet<IpAddr> {
    cluster.endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied()).collect()
}

/// Whether it could be followed; then the same as computed.
fn followed(known: &Desired, before: &Objects, after: &Cluster) -> bool {
    let Some((next, steps)) = known.follow(before, &after.objects, &after.node_name, &leased(after)) else {
        return false;
    };
    let whole = compute(after, Some(known));
    assert_eq!(next.issues, whole.issues);
    assert_eq!(next.contested, whole.contested);
    assert_eq!(next, whole, "{before:#?}\n{after:#?}");
    let mut remote = known.remote.clone();
    steps.iter().for_each(|step| step.apply(&mut remote));
    assert_eq!(remote, whole.remote);
    true
}

const NODES: &str = "node a 192.0.2.1\nnode b 192.0.2.2\nnode c 192.0.2.3\n";

/// A cluster whose nodes `a`, `b` and `c` have 10.0.1.0/24 to 10.0.3.0/24.
fn with_cidrs(text: &str) -> Cluster {
    let mut cluster = cluster(&format!("{NODES}{text}"));
    for (name, cidr) in [("a", "10.0.1.0/24"), ("b", "10.0.2.0/24"), ("c", "10.0.3.0/24")] {
        let node = Node { pod_cidrs: vec![cidr.parse().unwrap()], ..(*cluster.objects.nodes[name]).clone() };
        cluster.objects.nodes.insert(name.into(), node.into());
    }
    cluster
}

/// `expected` says whether it can be followed; what follows is checked in any case.
#[track_caller]
fn check(before: &str, after: &str, expected: bool) {
    let (before, after) = (with_cidrs(before), with_cidrs(after));
    // What the snapshots of a source share.
    let after = Cluster { objects: Objects { nodes: before.objects.nodes.clone(), ..after.objects.clone() }, ..after };
    let mut screen = screen(&before);
    let (before, after) = (screened(&mut screen, &before), screened(&mut screen, &after));
    assert_eq!(followed(&compute(&before, None), &before.objects, &after), expected, "{after:#?}");
}

#[test]
fn pods_that_nobody_contests_are_followed() {
    check("", "pod x/p b 10.0.2.1,10.0.2.9", true);
    check("pod x/p b 10.0.2.1", "pod x/p b 10.0.2.1 app=web", true);
    check("pod x/p b 10.0.2.1", "pod x/p b 10.0.2.2", true);
    check("pod x/p b 10.0.2.1", "pod x/p c 10.0.3.1", true);
    check("pod x/p b 10.0.2.1", "pod x/p b 10.0.2.1 ended", true);
    check("pod x/p b 10.0.2.1", "", true);
    check("pod x/p a 10.0.1.1 unleased", "pod x/p a 10.0.1.2 unleased", true);
}

#[test]
fn an_address_that_moves_in_one_moment_is_followed_or_computed() {
    check("pod x/p b 10.0.2.1", "pod x/q b 10.0.2.1", true);
    check("pod x/q b 172.16.0.1", "pod x/p c 172.16.0.1", false);
    check("pod x/q b 10.0.2.1", "pod x/p c 10.0.2.1", true);
}

#[test]
fn what_is_contested_is_computed() {
    check("pod x/p b 10.0.2.1", "pod x/p b 10.0.2.1\npod x/q b 10.0.2.1", false);
    check("pod x/p b 10.0.2.1\npod x/q b 10.0.2.1", "pod x/q b 10.0.2.1", false);
    let both = |first: &str, second: &str| format!("pod x/p b 10.0.2.1 {first}\npod x/q b 10.0.2.1 {second}");
    check(&both("", ""), &both("terminating", ""), false);
    check(&both("", ""), &both("", "created:7 uid:new"), false);
    check(&both("announced", ""), &both("", ""), false);
    check("pod x/own a 172.16.0.1", "pod x/own a 172.16.0.1 terminating\npod x/p b 172.16.0.1", false);
    check("", "pod x/p b 172.16.0.1", false);
    check("pod x/p b 172.16.0.1", "", false);
    check("", "pod x/p elsewhere 10.0.9.1", false);
    check("pod x/p elsewhere 10.0.9.1", "", false);
    check("", "pod x/p elsewhere -", false);
}

#[test]
fn what_does_not_pass_needs_no_look() {
    check("", "pod x/p b 192.0.2.3", true);
    check("pod x/own a 10.0.1.1", "pod x/own a 10.0.1.1\npod x/p b 10.0.1.1", true);
    check("pod x/p b 10.0.3.1", "pod x/p b 10.0.3.1 app=web", true);
}

#[test]
fn an_address_that_this_node_keeps_is_computed() {
    let (before, after) = (with_cidrs(""), with_cidrs("pod x/p b 10.0.2.1"));
    let known = compute(&before, None);
    let follows = |known: &Desired| known.follow(&before.objects, &after.objects, "a", &leased(&after)).is_some();
    assert!(follows(&known));
    assert!(!follows(&Desired { kept: ["10.0.2.1".parse().unwrap()].into(), ..known }));
}

proptest! {
    #[test]
    fn whatever_happens_to_pods_is_followed_as_computed(mut case in cases(1..60)) {
        let mut screen = screen(&case.cluster);
        let mut passed = screened(&mut screen, &case.cluster);
        let mut known = compute(&passed, None);
        for step in case.steps {
            let Step::Event(event) = step else { continue };
            let (before, leases) = (passed.objects, leased(&case.cluster));
            let of_pods = matches!(event, Event::Pod(_) | Event::PodGone(_));
            case.cluster.apply(event);
            passed = screened(&mut screen, &case.cluster);
            let same = leases == leased(&case.cluster);
            if !(same && followed(&known, &before, &passed)) {
                prop_assert!(!same || of_pods, "other objects need no look at all");
            }
            known = compute(&passed, Some(&known));
        }
    }
}
