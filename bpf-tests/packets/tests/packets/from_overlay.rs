//! What arrives through the tunnel.

use ferrule_common::{Drop, Outcome, Program::FromOverlay};

use crate::{
    frames::{TTL, other, udp4, udp6},
    run::{
        Bench,
        Expected::{self, Dropped, Passes, Redirected},
        Outer,
    },
    world::{
        A4, B4, B6, HERE, LIMITED4, NODE1, NODE1_6, NODE1_NEXT, NODE1_SECOND, NODE2, OUTSIDE4, POD1, POD1_6, POD2,
        SELF4, SELF6, STRAY1, THERE, UNOWNED4, UNUSED4, v6,
    },
};

const FROM_NODE1: Outer = Outer { family: 4, vni: 1, source: NODE1 };
const FROM_NODE1_OVER_V6: Outer = Outer { family: 6, vni: 1, source: [0, 0, 1, 12] };

#[track_caller]
fn check(outer: Outer, frame: &[u8], expected: Expected<'_>) {
    Bench::behind_tunnel(outer).check(FromOverlay, frame, expected);
}

#[test]
fn a_pod_of_the_sending_node_reaches_a_local_pod() {
    for outer in [FROM_NODE1, FROM_NODE1_OVER_V6] {
        for source in [POD1, STRAY1, [10, 244, 2, 200]] {
            let frame = udp4(source, B4, TTL, 53);
            check(outer, &frame, Redirected(Outcome::Pod, THERE, &frame));
        }
        let frame = udp6(POD1_6, B6, TTL, 53);
        check(outer, &frame, Redirected(Outcome::Pod, THERE, &frame));
    }
}

#[test]
fn every_internal_ip_of_the_sending_node_is_believed() {
    for source in [NODE1_SECOND, NODE1_NEXT] {
        let outer = Outer { source, ..FROM_NODE1 };
        let frame = udp4(POD1, B4, TTL, 53);
        check(outer, &frame, Redirected(Outcome::Pod, THERE, &frame));
        check(outer, &udp4(POD2, B4, TTL, 53), Dropped(Drop::WrongNode));
    }
    // Another node's, a pod's of the node, this node's own.
    for source in [NODE2, STRAY1, SELF4] {
        let outer = Outer { source, ..FROM_NODE1 };
        check(outer, &udp4(POD1, B4, TTL, 53), Dropped(Drop::WrongNode));
        check(outer, &udp4(SELF4, B4, TTL, 53), Dropped(Drop::WrongNode));
        check(outer, &udp4(UNUSED4, B4, TTL, 53), Dropped(Drop::WrongNode));
    }
}

#[test]
fn a_pod_with_limited_bandwidth_receives_by_the_stack() {
    check(FROM_NODE1, &udp4(POD1, LIMITED4, TTL, 53), Passes(Outcome::Stack));
}

#[test]
fn the_sending_node_itself_reaches_a_local_pod() {
    let frame = udp4(NODE1, A4, TTL, 8080);
    check(FROM_NODE1, &frame, Redirected(Outcome::Pod, HERE, &frame));
    let frame = udp6(NODE1_6, B6, TTL, 8080);
    check(FROM_NODE1, &frame, Redirected(Outcome::Pod, THERE, &frame));
}

#[test]
fn this_node_and_its_unused_addresses_are_the_stacks() {
    for destination in [SELF4, UNUSED4] {
        check(FROM_NODE1, &udp4(POD1, destination, TTL, 10_250), Passes(Outcome::Stack));
    }
    check(FROM_NODE1, &udp6(POD1_6, SELF6, TTL, 10_250), Passes(Outcome::Stack));
    check(FROM_NODE1, &udp6(POD1_6, v6(1, 77), TTL, 10_250), Passes(Outcome::Stack));
}

#[test]
fn an_inner_source_of_another_node_is_dropped() {
    for source in [POD2, SELF4, OUTSIDE4, UNOWNED4, UNUSED4] {
        check(FROM_NODE1, &udp4(source, B4, TTL, 53), Dropped(Drop::WrongNode));
    }
    let stranger = Outer { source: [172, 30, 0, 99], ..FROM_NODE1 };
    check(stranger, &udp4(POD1, B4, TTL, 53), Dropped(Drop::WrongNode));
    let stranger = Outer { source: [0, 0, 1, 99], ..FROM_NODE1_OVER_V6 };
    check(stranger, &udp6(POD1_6, B6, TTL, 53), Dropped(Drop::WrongNode));
}

#[test]
fn an_outer_source_that_is_no_address_matches_no_node() {
    let nobody = Outer { family: 4, vni: 1, source: [0; 4] };
    check(nobody, &udp4(SELF4, B4, TTL, 53), Dropped(Drop::WrongNode));
}

#[test]
fn a_local_pods_address_does_not_come_from_outside() {
    check(FROM_NODE1, &udp4(A4, B4, TTL, 53), Dropped(Drop::LocalSource));
    check(FROM_NODE1, &udp6(v6(1, 2), B6, TTL, 53), Dropped(Drop::LocalSource));
}

#[test]
fn the_tunnel_leads_nowhere_else() {
    for destination in [OUTSIDE4, POD2, NODE1, UNOWNED4] {
        check(FROM_NODE1, &udp4(POD1, destination, TTL, 53), Dropped(Drop::NotHere));
    }
}

#[test]
fn another_network_identifier_or_none_is_dropped() {
    let frame = udp4(POD1, B4, TTL, 53);
    for vni in [0, 2, 77] {
        check(Outer { vni, ..FROM_NODE1 }, &frame, Dropped(Drop::NotOverlay));
    }
    check(Outer { family: 0, vni: 0, source: [0; 4] }, &frame, Dropped(Drop::NotOverlay));
}

#[test]
fn the_last_hop_is_to_this_node() {
    for frame in [udp4(POD1, B4, 1, 53), udp6(POD1_6, B6, 1, 53)] {
        check(FROM_NODE1, &frame, Redirected(Outcome::Pod, THERE, &frame));
    }
}

#[test]
fn what_is_not_ip_is_dropped() {
    check(FROM_NODE1, &other(0x88cc), Dropped(Drop::Ethertype));
    check(FROM_NODE1, &other(0x0806), Dropped(Drop::Ethertype));
}
