//! IPv6 extension headers and fragments, from a pod.

use ferrule_common::{Drop, Outcome, Program::FromPod};

use crate::{
    frames::{TTL, icmp6, udp6},
    run::{
        Bench,
        Expected::{self, Dropped, Passes, Redirected},
    },
    world::{A6, B6, LINK_LOCAL_A, NODE1_6, OUTSIDE6, THERE},
};

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION: u8 = 60;
const AUTHENTICATION: u8 = 51;
const UDP: u8 = 17;

#[track_caller]
fn check(frame: &[u8], expected: Expected<'_>) {
    Bench::new().check(FromPod, frame, expected);
}

/// Puts extension headers of eight bytes each between the IPv6 header and what follows.
pub fn extended(frame: &[u8], kinds: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let last = frame[20];
    for at in (0..kinds.len()).rev() {
        let next = kinds.get(at + 1).copied().unwrap_or(last);
        // Length 0 is eight bytes, both in eights less one and, for authentication, in words less two.
        frame.splice(54..54, [next, 0, 0, 0, 0, 0, 0, 0]);
    }
    frame[20] = kinds.first().copied().unwrap_or(last);
    let payload = u16::try_from(frame.len() - 54).expect("it is short");
    frame[18..20].copy_from_slice(&payload.to_be_bytes());
    frame
}

#[test]
fn extension_headers_are_followed() {
    let plain = udp6(A6, B6, TTL, 53);
    for kinds in [
        &[HOP_BY_HOP][..],
        &[DESTINATION],
        &[HOP_BY_HOP, DESTINATION, ROUTING],
        &[AUTHENTICATION],
        &[FRAGMENT],
        &[DESTINATION; 6],
    ] {
        let frame = extended(&plain, kinds);
        check(&frame, Redirected(Outcome::Pod, THERE, &frame));
    }
}

#[test]
fn more_extension_headers_than_are_followed_are_dropped() {
    check(&extended(&udp6(A6, B6, TTL, 53), &[DESTINATION; 7]), Dropped(Drop::ExtensionHeaders));
}

#[test]
fn an_extension_header_that_leaves_the_packet_is_malformed() {
    let mut frame = extended(&udp6(A6, B6, TTL, 53), &[DESTINATION]);
    frame[55] = 200;
    check(&frame, Dropped(Drop::Malformed));
}

#[test]
fn vxlan_behind_extension_headers_is_found() {
    for kinds in [&[HOP_BY_HOP][..], &[DESTINATION, DESTINATION], &[FRAGMENT]] {
        for destination in [NODE1_6, OUTSIDE6] {
            check(&extended(&udp6(A6, destination, TTL, 8472), kinds), Dropped(Drop::TunnelFromPod));
        }
    }
}

#[test]
fn a_first_fragment_that_ends_before_its_ports_counts_as_vxlan() {
    let mut frame = extended(&udp6(A6, OUTSIDE6, TTL, 53), &[FRAGMENT, DESTINATION]);
    // More fragments follow, and this one ends where UDP would begin.
    frame[57] = 1;
    frame.truncate(70);
    frame[18..20].copy_from_slice(&16_u16.to_be_bytes());
    check(&frame, Dropped(Drop::TunnelFromPod));
}

#[test]
fn later_fragments_are_forwarded_and_their_bytes_are_not_taken_for_ports() {
    let mut frame = extended(&udp6(A6, OUTSIDE6, TTL, 8472), &[FRAGMENT]);
    assert_eq!(frame[54], UDP);
    frame[57] = 8;
    check(&frame, Passes(Outcome::Stack));
}

#[test]
fn neighbour_discovery_behind_extension_headers_is_dropped() {
    let all_nodes = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    check(&extended(&icmp6(LINK_LOCAL_A, all_nodes, 134, &[0; 40]), &[DESTINATION]), Dropped(Drop::Multicast));
    check(&extended(&icmp6(A6, B6, 136, &B6), &[HOP_BY_HOP]), Dropped(Drop::LinkLocal));
    // MLD, which is what stands behind a router alert.
    check(&extended(&icmp6(LINK_LOCAL_A, all_nodes, 143, &[0; 20]), &[HOP_BY_HOP]), Dropped(Drop::Multicast));
}
