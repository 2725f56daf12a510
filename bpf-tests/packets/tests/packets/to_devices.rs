//! What leaves: into the tunnel, and by the node's own device.

use ferrule_common::{
    Drop, Outcome,
    Program::{ToNetdev, ToOverlay},
};

use crate::{
    frames::{TTL, arp, icmp6, other, udp4, udp6},
    run::{
        Bench,
        Expected::{Dropped, Passes},
    },
    world::{
        A4, A6, GATEWAY6, MAC_A, NODE1, NODE1_6, OUTSIDE4, OUTSIDE6, POD1, POD1_6, POD2, POD2_6, SELF4, SELF6, STRAY1,
        UNOWNED4, UNOWNED6, UNUSED4, v6,
    },
};

#[test]
fn local_pods_and_the_node_itself_may_use_the_tunnel() {
    let mut bench = Bench::new();
    for frame in [udp4(A4, POD1, TTL, 53), udp4(SELF4, POD1, TTL, 53), udp4([10, 244, 1, 1], POD1, TTL, 53)] {
        bench.check(ToOverlay, &frame, Passes(Outcome::Overlay));
    }
    for frame in [udp6(A6, POD1_6, TTL, 53), udp6(SELF6, POD1_6, TTL, 53), udp6(v6(1, 1), POD1_6, TTL, 53)] {
        bench.check(ToOverlay, &frame, Passes(Outcome::Overlay));
    }
}

#[test]
fn nobody_else_may_use_the_tunnel() {
    let mut bench = Bench::new();
    for source in [OUTSIDE4, POD2, NODE1, [172, 17, 0, 1]] {
        bench.check(ToOverlay, &udp4(source, POD1, TTL, 53), Dropped(Drop::ForeignSource));
    }
    bench.check(ToOverlay, &udp6(OUTSIDE6, POD1_6, TTL, 53), Dropped(Drop::ForeignSource));
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    bench.check(ToOverlay, &icmp6(GATEWAY6, all_nodes, 143, &[0; 20]), Dropped(Drop::Multicast));
    bench.check(ToOverlay, &other(0x88cc), Dropped(Drop::Ethertype));
}

#[test]
fn an_address_of_the_cluster_that_nobody_owns_does_not_leave_the_node() {
    let mut bench = Bench::new();
    for destination in [UNOWNED4, UNUSED4] {
        bench.check(ToNetdev, &udp4(SELF4, destination, TTL, 53), Dropped(Drop::Unowned));
    }
    bench.check(ToNetdev, &udp6(SELF6, UNOWNED6, TTL, 53), Dropped(Drop::Unowned));
}

#[test]
fn a_tunnelled_nodes_pods_are_not_sent_to_in_the_open() {
    let mut bench = Bench::new();
    for destination in [POD1, STRAY1, [10, 244, 2, 200]] {
        bench.check(ToNetdev, &udp4(A4, destination, TTL, 53), Dropped(Drop::Unowned));
    }
    bench.check(ToNetdev, &udp6(A6, POD1_6, TTL, 53), Dropped(Drop::Unowned));
}

#[test]
fn everything_else_leaves_the_node_as_it_is() {
    let mut bench = Bench::new();
    for frame in [
        udp4(A4, OUTSIDE4, TTL, 53),
        udp4(SELF4, NODE1, TTL, 8472),
        udp4(SELF4, NODE1, TTL, 22),
        udp4(A4, POD2, TTL, 53),
        udp6(A6, POD2_6, TTL, 53),
        udp6(SELF6, NODE1_6, TTL, 22),
        udp6(A6, OUTSIDE6, TTL, 53),
        arp(true, MAC_A, SELF4, NODE1),
        other(0x88cc),
    ] {
        bench.check(ToNetdev, &frame, Passes(Outcome::Foreign));
    }
}
