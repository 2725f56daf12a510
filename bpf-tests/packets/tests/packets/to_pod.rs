//! What the node's stack delivers to a pod.

use ferrule_common::{Drop, Outcome, Program::ToPod};

use crate::{
    frames::{TTL, arp, icmp6, other, udp4, udp6},
    run::{
        Bench,
        Expected::{self, Dropped, Passes},
    },
    world::{A4, A6, B4, B6, GATEWAY6, LINK_LOCAL_A, MAC_A, OUTSIDE4, OUTSIDE6, SELF4, SELF6},
};

#[track_caller]
fn check(frame: &[u8], expected: Expected<'_>) {
    Bench::new().check(ToPod, frame, expected);
}

#[test]
fn what_is_for_the_pod_passes() {
    check(&udp4(SELF4, A4, TTL, 8080), Passes(Outcome::Pod));
    check(&udp6(SELF6, A6, TTL, 8080), Passes(Outcome::Pod));
    check(&udp4(OUTSIDE4, A4, 1, 8080), Passes(Outcome::Pod));
    check(&icmp6(OUTSIDE6, A6, 1, &[0; 40]), Passes(Outcome::Pod));
}

#[test]
fn what_is_for_another_pod_or_nobody_is_dropped() {
    check(&udp4(SELF4, B4, TTL, 8080), Dropped(Drop::NotThisPod));
    check(&udp6(SELF6, B6, TTL, 8080), Dropped(Drop::NotThisPod));
    check(&udp4(SELF4, OUTSIDE4, TTL, 8080), Dropped(Drop::NotThisPod));
}

#[test]
fn the_stack_may_look_for_the_pod() {
    check(&arp(true, MAC_A, SELF4, A4), Passes(Outcome::Pod));
    check(&icmp6(GATEWAY6, LINK_LOCAL_A, 135, &A6), Passes(Outcome::Pod));
    check(&icmp6(GATEWAY6, LINK_LOCAL_A, 129, &[0; 8]), Passes(Outcome::Pod));
}

#[test]
fn the_stacks_own_link_noise_is_dropped() {
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    check(&icmp6(GATEWAY6, all_nodes, 134, &[0; 8]), Dropped(Drop::Multicast));
    check(&icmp6(GATEWAY6, all_nodes, 143, &[0; 20]), Dropped(Drop::Multicast));
    check(&udp6(GATEWAY6, LINK_LOCAL_A, TTL, 5353), Dropped(Drop::LinkLocal));
    check(&other(0x88cc), Dropped(Drop::Ethertype));
}
