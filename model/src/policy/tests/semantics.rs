//! What Kubernetes' rules mean, one a test: a cluster in words, and packets with their verdicts.

use std::collections::BTreeSet;

use super::{
    cluster::{Cluster, changes},
    maps::Maps,
};
use crate::{
    objects::Direction,
    policy::{Engine, Limits},
};

/// The endpoint under test is 1, with address 10.0.0.1; asks are `in|out PEER PORT/PROTOCOL`, or `PEER echo`.
fn check(cluster: &str, allowed: &[&str], denied: &[&str]) {
    let (mut engine, mut maps, mut naive) =
        (Engine::new(Limits::default(), 1, BTreeSet::new()), Maps::default(), Cluster::default());
    let changes = changes(cluster);
    changes.iter().for_each(|change| naive.take(change));
    engine.apply(changes).iter().for_each(|step| maps.apply(step));
    for (asks, expected) in [(allowed, true), (denied, false)] {
        for ask in asks {
            let words: Vec<&str> = ask.split_whitespace().collect();
            let direction = if words[0] == "in" { Direction::Ingress } else { Direction::Egress };
            let packet = match words[2].split_once('/') {
                Some((port, "tcp")) => (6, port.parse().unwrap()),
                Some((port, "udp")) => (17, port.parse().unwrap()),
                Some((port, "sctp")) => (132, port.parse().unwrap()),
                _ => (1, 0),
            };
            let peer = words[1].parse().unwrap();
            assert_eq!(naive.allows(1, direction, peer, packet), Some(expected), "the reading itself: {ask}");
            assert_eq!(maps.allows(1, direction, peer, packet), expected, "{ask}\n{maps:#?}");
        }
    }
}

const PODS: &str = "
    ns shop team=red
    ns other team=blue
    pod shop/web 10.0.0.1,fd00::1 app=web :http=80/tcp :dns=53/udp
    pod shop/db 10.0.0.2,fd00::2 app=db :http=8080/tcp
    pod shop/cache 10.0.0.3 app=cache tier=back :http=9090/udp
    pod other/web 10.0.1.1 app=web
    pod other/db 10.0.1.2 app=db :http=8081/tcp
    lease 1 10.0.0.1,fd00::1 shop/web
";

fn with(policies: &str, allowed: &[&str], denied: &[&str]) {
    check(&format!("{PODS}\n{policies}"), allowed, denied);
}

#[test]
fn without_a_policy_everything_passes() {
    with("", &["in 10.0.0.2 80/tcp", "out 192.0.2.1 53/udp", "in 192.0.2.1 echo"], &[]);
}

#[test]
fn a_policy_isolates_only_the_directions_that_it_names() {
    with("policy shop/p app=web | in none", &["out 10.0.0.2 80/tcp"], &["in 10.0.0.2 80/tcp", "in 10.0.0.2 echo"]);
    with("policy shop/p app=web | out none", &["in 10.0.0.2 80/tcp"], &["out 10.0.0.2 80/tcp"]);
}

#[test]
fn a_policy_says_nothing_about_pods_that_it_does_not_select() {
    with("policy shop/p app=db | in none", &["in 10.0.0.2 80/tcp"], &[]);
    with("policy other/p app=web | in none", &["in 10.0.0.2 80/tcp"], &[]);
}

#[test]
fn policies_add_up() {
    with(
        "policy shop/p app=web | in app=db on 80/tcp\npolicy shop/q * | in app=cache on 81/tcp | out none",
        &["in 10.0.0.2 80/tcp", "in 10.0.0.3 81/tcp"],
        &["in 10.0.0.2 81/tcp", "in 10.0.0.3 80/tcp", "out 10.0.0.2 80/tcp"],
    );
}

#[test]
fn an_empty_rule_allows_everyone_everything() {
    with("policy shop/p * | in all on all", &["in 192.0.2.1 80/tcp", "in fd99::1 echo", "in 10.0.0.2 7/sctp"], &[]);
}

#[test]
fn a_pod_selector_alone_means_the_own_namespace() {
    with("policy shop/p * | in app=db on all", &["in 10.0.0.2 1/tcp", "in fd00::2 echo"], &["in 10.0.1.2 1/tcp"]);
    with("policy shop/p * | in * on all", &["in 10.0.0.3 1/tcp"], &["in 10.0.1.1 1/tcp", "in 192.0.2.1 1/tcp"]);
}

#[test]
fn both_selectors_must_match() {
    with(
        "policy shop/p * | in team=blue/app=db on all",
        &["in 10.0.1.2 1/tcp"],
        &["in 10.0.1.1 1/tcp", "in 10.0.0.2 1/tcp"],
    );
}

#[test]
fn a_namespace_is_selected_by_its_name_too() {
    with("policy shop/p * | in @name=other/* on all", &["in 10.0.1.1 1/tcp"], &["in 10.0.0.2 1/tcp"]);
    with("pod ghost/x 10.0.2.1\npolicy shop/p * | in @name=ghost/* on all", &["in 10.0.2.1 1/tcp"], &[]);
}

#[test]
fn a_namespace_without_an_object_fulfils_nothing_negative() {
    with(
        "pod ghost/x 10.0.2.1\npolicy shop/p * | in team!=blue/* on all",
        &["in 10.0.0.2 1/tcp"],
        &["in 10.0.2.1 1/tcp", "in 10.0.1.1 1/tcp"],
    );
    with("pod ghost/x 10.0.2.1\npolicy shop/p * | in */!app on all", &["in 10.0.2.1 1/tcp"], &["in 10.0.1.1 1/tcp"]);
}

#[test]
fn empty_selectors_mean_every_pod_and_nobody_else() {
    with(
        "pod ghost/x 10.0.2.1\npolicy shop/p * | in */* on 80/tcp",
        &["in 10.0.0.2 80/tcp", "in 10.0.1.1 80/tcp", "in 10.0.2.1 80/tcp"],
        &["in 192.0.2.1 80/tcp", "in 10.0.0.2 81/tcp"],
    );
}

#[test]
fn expressions_of_every_kind_select() {
    let peers = ["in 10.0.0.2 1/tcp", "in 10.0.0.3 1/tcp"];
    with("policy shop/p * | in app=db|cache on all", &peers, &[]);
    with("policy shop/p * | in app!=web|cache on all", &peers[..1], &peers[1..]);
    with("policy shop/p * | in tier on all", &peers[1..], &peers[..1]);
    with("policy shop/p * | in !tier,app=db on all", &peers[..1], &peers[1..]);
}

#[test]
fn a_rule_with_ports_never_allows_other_protocols() {
    with("policy shop/p * | in all on */tcp", &["in 10.0.0.2 9/tcp"], &["in 10.0.0.2 9/udp", "in 10.0.0.2 echo"]);
}

#[test]
fn ports_are_matched_by_protocol_and_range() {
    with(
        "policy shop/p * | in app=db on 80:90/tcp,53/udp,7/sctp",
        &["in 10.0.0.2 80/tcp", "in 10.0.0.2 90/tcp", "in 10.0.0.2 53/udp", "in 10.0.0.2 7/sctp"],
        &["in 10.0.0.2 79/tcp", "in 10.0.0.2 91/tcp", "in 10.0.0.2 80/udp", "in 10.0.0.2 7/tcp"],
    );
}

#[test]
fn a_range_that_ends_before_it_starts_allows_nothing() {
    with(
        "policy shop/p * | in app=db on 90:80/tcp,53/udp",
        &["in 10.0.0.2 53/udp"],
        &["in 10.0.0.2 80/tcp", "in 10.0.0.2 echo"],
    );
}

#[test]
fn a_named_port_of_ingress_is_the_endpoints_own() {
    with(
        "policy shop/p * | in app=db on http/tcp,dns/tcp",
        &["in 10.0.0.2 80/tcp"],
        &["in 10.0.0.2 8080/tcp", "in 10.0.0.2 80/udp", "in 10.0.0.2 53/udp", "in 10.0.0.2 53/tcp"],
    );
}

#[test]
fn a_named_port_of_egress_is_the_peers_own() {
    with(
        "policy shop/p * | out app=db;team=blue/app=db;app=cache on http/tcp",
        &["out 10.0.0.2 8080/tcp", "out 10.0.1.2 8081/tcp"],
        &["out 10.0.0.2 8081/tcp", "out 10.0.0.2 80/tcp", "out 10.0.0.3 9090/tcp", "out 10.0.0.3 9090/udp"],
    );
    with(
        "policy shop/p * | out all on http/tcp",
        &["out 10.0.0.2 8080/tcp", "out 10.0.1.2 8081/tcp"],
        &["out 192.0.2.1 80/tcp", "out 10.0.1.1 80/tcp"],
    );
    with("policy shop/p * | out */* on http/udp", &["out 10.0.0.3 9090/udp"], &["out 10.0.0.2 8080/udp"]);
    with("policy shop/p * | out 10.0.0.0/24 on http/tcp", &["out 10.0.0.2 8080/tcp"], &["out 10.0.1.2 8081/tcp"]);
}

#[test]
fn a_block_holds_pods_and_others_but_not_what_is_excepted() {
    with(
        "policy shop/p * | in 10.0.0.0/8-10.0.1.0/24 on all",
        &["in 10.0.0.2 1/tcp", "in 10.9.9.9 echo"],
        &["in 10.0.1.1 1/tcp", "in 10.0.1.99 1/tcp", "in 11.0.0.1 1/tcp"],
    );
}

#[test]
fn blocks_nest_and_overlap() {
    with(
        "policy shop/p * | in 10.0.0.0/8-10.1.0.0/16 on 80/tcp
         policy shop/q * | in 10.1.0.0/16-10.1.1.0/24 on 81/tcp | in 10.1.1.7/32 on 82/tcp",
        &["in 10.2.0.1 80/tcp", "in 10.1.2.1 81/tcp", "in 10.1.1.7 82/tcp"],
        &["in 10.1.2.1 80/tcp", "in 10.1.1.7 80/tcp", "in 10.1.1.7 81/tcp", "in 10.1.1.8 82/tcp", "in 10.2.0.1 81/tcp"],
    );
}

#[test]
fn host_bits_of_a_block_do_not_count() {
    with("policy shop/p * | in 10.9.3.4/16-10.9.8.8/24 on all", &["in 10.9.0.1 1/tcp"], &["in 10.9.8.1 1/tcp"]);
}

#[test]
fn a_block_of_one_family_holds_nothing_of_the_other() {
    with("policy shop/p * | in ::/0 on all", &["in fd00::2 1/tcp", "in fd99::1 1/tcp"], &["in 10.0.0.2 1/tcp"]);
    with("policy shop/p * | in 0.0.0.0/0 on all", &["in 10.0.0.2 1/tcp", "in 192.0.2.1 1/tcp"], &["in fd99::1 1/tcp"]);
}

#[test]
fn host_networked_and_ended_pods_are_no_peers_and_terminating_ones_are() {
    with(
        "pod shop/h 10.0.3.1 app=db host\npod shop/e 10.0.3.2 app=db ended\npod shop/t 10.0.3.3 app=db terminating
         policy shop/p * | in app=db on all | in */* on 80/tcp",
        &["in 10.0.3.3 1/tcp", "in 10.0.3.3 80/tcp"],
        &["in 10.0.3.1 1/tcp", "in 10.0.3.1 80/tcp", "in 10.0.3.2 1/tcp"],
    );
}

#[test]
fn an_endpoint_without_a_pod_object_is_isolated_by_nothing_and_a_peer_by_address() {
    check("lease 1 10.0.0.1 -\npolicy shop/p * | in none", &["in 10.0.0.2 1/tcp"], &[]);
    with(
        "lease 2 10.0.0.9 shop/gone\nlease 3 10.0.8.9 -\npolicy shop/p * | in * on 80/tcp | in */* on 81/tcp | in 10.0.8.0/24 on 82/tcp",
        &["in 10.0.8.9 82/tcp"],
        &["in 10.0.0.9 80/tcp", "in 10.0.0.9 81/tcp", "in 10.0.8.9 81/tcp"],
    );
}

#[test]
fn a_lease_is_bound_by_name_and_by_uid_where_both_are_known() {
    let pod = "pod shop/web 10.0.0.1 app=web uid:two\npolicy shop/p app=web | in none";
    check(&format!("lease 1 10.0.0.1 shop/web one\n{pod}"), &["in 10.0.0.2 1/tcp"], &[]);
    check(&format!("lease 1 10.0.0.1 shop/web two\n{pod}"), &[], &["in 10.0.0.2 1/tcp"]);
    check(&format!("lease 1 10.0.0.1 shop/web\n{pod}"), &[], &["in 10.0.0.2 1/tcp"]);
}

#[test]
fn of_two_pods_with_one_address_the_younger_has_it_unless_a_lease_says_otherwise() {
    let policy = "policy shop/p app=web | in app=db on all";
    with(
        &format!("pod shop/x 10.0.5.1 app=db\npod shop/y 10.0.5.1 app=no created 5\n{policy}"),
        &[],
        &["in 10.0.5.1 1/tcp"],
    );
    with(
        &format!("pod shop/x 10.0.5.1 app=db\npod shop/y 10.0.5.1 app=no created 5 terminating\n{policy}"),
        &["in 10.0.5.1 1/tcp"],
        &[],
    );
    with(
        &format!("lease 2 10.0.5.1 shop/x\npod shop/x - app=db\npod shop/y 10.0.5.1 app=no created 5\n{policy}"),
        &["in 10.0.5.1 1/tcp"],
        &[],
    );
}
