//! What a table allows: classes, wildcards, port prefixes, protocols.

use ferrule_common::{Drop, Outcome, Program::FromPod, policy::ANY_POD};

use crate::{
    frames::{Tcp, datagram, echo4, segment, udp6},
    policed::{ANY, Ports},
    run::Bench,
    world::{A4, A6, B4, B6, CLASS_A, CLASS_B, NODE1, OUTSIDE4, OUTSIDE6, POD1},
};

const TCP: u8 = 6;
const UDP: u8 = 17;
const CLIENT: u16 = 40_000;

/// B is isolated by table 5; whether A's datagram to `port` arrives.
#[track_caller]
fn check_port(allowed: Ports, port: u16, expected: bool) {
    let mut bench = Bench::alone();
    bench.allow_anyone(5, allowed);
    bench.word(CLASS_B, 5, 0, 2);
    let (outcome, _) = bench.outcome(FromPod, &datagram((A4, CLIENT), (B4, port)));
    let wanted = if expected { Outcome::Pod as u32 } else { Drop::PolicyIngress as u32 };
    assert_eq!(outcome, wanted, "port {port}");
}

#[test]
fn a_port_prefix_holds_its_ports() {
    check_port(Ports(UDP, 53, 16), 53, true);
    check_port(Ports(UDP, 53, 16), 54, false);
    check_port(Ports(UDP, 0x2000, 3), 0x3fff, true);
    check_port(Ports(UDP, 0x2000, 3), 0x4000, false);
    check_port(Ports(UDP, 0, 0), 65_535, true);
    check_port(Ports(TCP, 0, 0), 53, false);
    check_port(Ports(TCP, 53, 16), 53, false);
    check_port(ANY, 1, true);
}

#[test]
fn a_rule_with_ports_says_nothing_of_echo() {
    let mut bench = Bench::alone();
    bench.allow_anyone(5, Ports(TCP, 0, 0));
    bench.allow_anyone(5, Ports(UDP, 0, 0));
    bench.word(CLASS_B, 5, 0, 2);
    assert_eq!(bench.outcome(FromPod, &echo4(A4, B4, 1, false)).0, Drop::PolicyIngress as u32);
    bench.allow_anyone(5, ANY);
    assert_eq!(bench.outcome(FromPod, &echo4(A4, B4, 1, false)).0, Outcome::Pod as u32);
}

#[test]
fn a_peer_has_its_class_and_the_wildcards_of_pods_and_everyone() {
    let mut bench = Bench::alone();
    bench.table(5);
    bench.word(CLASS_B, 5, 0, 2);
    let mut port = 1;
    let mut check = |bench: &mut Bench, expected: bool| {
        port += 1;
        let wanted = if expected { Outcome::Pod as u32 } else { Drop::PolicyIngress as u32 };
        assert_eq!(bench.outcome(FromPod, &datagram((A4, CLIENT), (B4, port))).0, wanted);
    };
    check(&mut bench, false);
    bench.allow(5, 9, ANY);
    check(&mut bench, false);
    bench.class(A4, 8);
    check(&mut bench, false);
    bench.class(A4, 9);
    check(&mut bench, true);
    bench.deny(5, 9, ANY);
    check(&mut bench, false);
    bench.allow(5, ANY_POD, ANY);
    check(&mut bench, true);
}

#[test]
fn an_address_that_is_no_pods_has_the_class_of_its_longest_prefix() {
    let mut bench = Bench::alone();
    bench.word(CLASS_A, 0, 6, 2);
    bench.allow(6, 4, ANY);
    bench.block([192, 0, 2, 0], 24, 4);
    bench.block([192, 0, 2, 128], 25, 3);
    assert_eq!(bench.outcome(FromPod, &datagram((A4, CLIENT), (OUTSIDE4, 1))).0, Outcome::Stack as u32);
    assert_eq!(bench.outcome(FromPod, &datagram((A4, CLIENT), ([192, 0, 2, 200], 1))).0, Drop::PolicyEgress as u32);
    assert_eq!(bench.outcome(FromPod, &datagram((A4, CLIENT), ([198, 51, 100, 1], 1))).0, Drop::PolicyEgress as u32);
    assert_eq!(bench.outcome(FromPod, &udp6(A6, OUTSIDE6, 64, 1)).0, Drop::PolicyEgress as u32);
    bench.block([0, 0, 0, 0], 0, 4);
    assert_eq!(bench.outcome(FromPod, &datagram((A4, CLIENT), ([198, 51, 100, 1], 2))).0, Outcome::Stack as u32);
    assert_eq!(bench.outcome(FromPod, &udp6(A6, OUTSIDE6, 64, 2)).0, Drop::PolicyEgress as u32);
}

#[test]
fn both_ends_must_allow_on_one_node_and_the_own_end_across_nodes() {
    let mut bench = Bench::alone();
    bench.word(CLASS_A, 0, 6, 2);
    bench.word(CLASS_B, 5, 0, 3);
    bench.allow_anyone(6, Ports(TCP, 80, 16));
    bench.table(5);
    let to_b = segment((A4, CLIENT), (B4, 80), Tcp::Syn);
    assert_eq!(bench.outcome(FromPod, &to_b).0, Drop::PolicyIngress as u32);
    bench.allow_anyone(5, Ports(TCP, 80, 16));
    assert_eq!(bench.outcome(FromPod, &to_b).0, Outcome::Pod as u32);
    assert_eq!(bench.outcome(FromPod, &segment((A4, CLIENT), (POD1, 80), Tcp::Syn)).0, Outcome::Overlay as u32);
    assert_eq!(bench.outcome(FromPod, &segment((A4, CLIENT), (POD1, 81), Tcp::Syn)).0, Drop::PolicyEgress as u32);
    assert_eq!(bench.outcome(FromPod, &segment((A4, CLIENT), (NODE1, 81), Tcp::Syn)).0, Drop::PolicyEgress as u32);
}

#[test]
fn an_endpoint_whose_policy_is_not_known_is_closed() {
    let mut bench = Bench::alone();
    bench.word(CLASS_B, 0, 0, 0);
    assert_eq!(bench.outcome(FromPod, &udp6(A6, B6, 64, 1)).0, Drop::PolicyUnknown as u32);
    bench.word(CLASS_B, 0, 0, 1);
    assert_eq!(bench.outcome(FromPod, &udp6(A6, B6, 64, 1)).0, Outcome::Pod as u32);
    bench.word(CLASS_A, 0, 0, 0);
    assert_eq!(bench.outcome(FromPod, &udp6(A6, B6, 64, 1)).0, Drop::PolicyUnknown as u32);
}

#[test]
fn a_pod_reaches_itself() {
    let mut bench = Bench::alone();
    bench.table(5);
    bench.word(CLASS_A, 5, 5, 2);
    assert_eq!(bench.outcome(FromPod, &datagram((A4, CLIENT), (A4, 1))).0, Outcome::Pod as u32);
}
