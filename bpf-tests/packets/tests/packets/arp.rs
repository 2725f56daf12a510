//! ARP from a pod, and from the stack to one.

use ferrule_common::{Drop, Outcome, Program::FromPod};

use crate::{
    frames::{arp, from_mac},
    run::{
        Bench,
        Expected::{self, Dropped, Passes, Redirected},
    },
    world::{A4, B4, GATEWAY4, HERE, HOST_A, MAC_A, OTHER_MAC, OUTSIDE4},
};

#[track_caller]
fn check(frame: &[u8], expected: Expected<'_>) {
    Bench::new().check(FromPod, frame, expected);
}

fn answer(target: [u8; 4]) -> Vec<u8> {
    let head = [&MAC_A[..], &HOST_A[..], &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2][..]].concat();
    [&head[..], &HOST_A[..], &GATEWAY4[..], &MAC_A[..], &target[..]].concat()
}

#[test]
fn the_gateway_is_answered_in_place() {
    check(&arp(true, MAC_A, A4, GATEWAY4), Redirected(Outcome::Answered, HERE, &answer(A4)));
    // A probe has no sender address yet.
    check(&arp(true, MAC_A, [0; 4], GATEWAY4), Redirected(Outcome::Answered, HERE, &answer([0; 4])));
}

#[test]
fn nobody_else_is_answered() {
    for target in [B4, OUTSIDE4] {
        check(&arp(true, MAC_A, A4, target), Dropped(Drop::NeighborTarget));
    }
}

#[test]
fn a_pods_own_replies_and_announcements_reach_the_stack() {
    check(&arp(false, MAC_A, A4, OUTSIDE4), Passes(Outcome::Stack));
    check(&arp(true, MAC_A, A4, A4), Passes(Outcome::Stack));
}

#[test]
fn answers_and_requests_in_anothers_name_are_dropped() {
    for sender in [B4, GATEWAY4, OUTSIDE4] {
        check(&arp(false, MAC_A, sender, A4), Dropped(Drop::SpoofedNeighbor));
        check(&arp(true, MAC_A, sender, GATEWAY4), Dropped(Drop::SpoofedNeighbor));
    }
    check(&arp(false, MAC_A, [0; 4], A4), Dropped(Drop::SpoofedNeighbor));
    check(&arp(false, OTHER_MAC, A4, OUTSIDE4), Dropped(Drop::SpoofedMac));
    check(&from_mac(arp(true, MAC_A, A4, GATEWAY4), OTHER_MAC), Dropped(Drop::SpoofedMac));
}

#[test]
fn another_kind_of_arp_is_malformed() {
    let mut frame = arp(true, MAC_A, A4, GATEWAY4);
    frame[15] = 6;
    check(&frame, Dropped(Drop::Malformed));
    let mut unknown_operation = arp(true, MAC_A, A4, GATEWAY4);
    unknown_operation[21] = 9;
    check(&unknown_operation, Dropped(Drop::SpoofedNeighbor));
}
