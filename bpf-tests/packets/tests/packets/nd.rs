//! IPv6 of the link, from a pod.

use etherparse::Icmpv6Header;
use ferrule_common::{Drop, Outcome, Program::FromPod};

use crate::{
    frames::{from_mac, icmp6, udp6},
    run::{
        Bench,
        Expected::{self, Dropped, Passes, Redirected},
    },
    world::{A6, B6, GATEWAY6, HERE, HOST_A, LINK_LOCAL_A, MAC_A, OTHER_LINK_LOCAL, OTHER_MAC, OUTSIDE6, POD1_6},
};

const SOLICITED_NODE: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 1];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const ALL_ROUTERS: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const UNSPECIFIED: [u8; 16] = [0; 16];
/// Source link-layer address.
const OPTION: [u8; 8] = [1, 1, MAC_A[0], MAC_A[1], MAC_A[2], MAC_A[3], MAC_A[4], MAC_A[5]];

#[track_caller]
fn check(frame: &[u8], expected: Expected<'_>) {
    Bench::new().check(FromPod, frame, expected);
}

fn solicitation(source: [u8; 16], destination: [u8; 16], target: [u8; 16], option: bool) -> Vec<u8> {
    let mut body = target.to_vec();
    if option {
        body.extend(OPTION);
    }
    icmp6(source, destination, 135, &body)
}

fn advertisement(source: [u8; 16], target: [u8; 16]) -> Vec<u8> {
    icmp6(source, GATEWAY6, 136, &[&target[..], &[2, 1], &MAC_A[..]].concat())
}

/// The gateway's advertisement to `destination`, with its checksum computed by the packet library.
fn answer(destination: [u8; 16], flags: u8) -> Vec<u8> {
    let body = [&GATEWAY6[..], &[2, 1], &HOST_A[..]].concat();
    let mut frame = icmp6(GATEWAY6, destination, 136, &body);
    frame[..6].copy_from_slice(&MAC_A);
    frame[6..12].copy_from_slice(&HOST_A);
    frame[58] = flags;
    frame[56..58].fill(0);
    let (header, _) = Icmpv6Header::from_slice(&frame[54..]).expect("it was built");
    let checksum = header.icmp_type.calc_checksum(GATEWAY6, destination, &frame[62..]).expect("it is short");
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

#[test]
fn the_gateway_is_answered_in_place() {
    for source in [A6, LINK_LOCAL_A] {
        for (destination, option) in [(SOLICITED_NODE, true), (GATEWAY6, true), (SOLICITED_NODE, false)] {
            let frame = solicitation(source, destination, GATEWAY6, option);
            check(&frame, Redirected(Outcome::Answered, HERE, &answer(source, 0xe0)));
        }
    }
}

#[test]
fn duplicate_address_detection_of_the_gateway_is_answered_to_all() {
    let frame = solicitation(UNSPECIFIED, SOLICITED_NODE, GATEWAY6, false);
    check(&frame, Redirected(Outcome::Answered, HERE, &answer(ALL_NODES, 0xa0)));
}

#[test]
fn a_pods_own_addresses_may_be_asked_for_and_advertised() {
    check(&solicitation(UNSPECIFIED, SOLICITED_NODE, A6, false), Passes(Outcome::Stack));
    check(&solicitation(UNSPECIFIED, SOLICITED_NODE, LINK_LOCAL_A, false), Passes(Outcome::Stack));
    check(&advertisement(A6, A6), Passes(Outcome::Stack));
    check(&advertisement(LINK_LOCAL_A, A6), Passes(Outcome::Stack));
    check(&advertisement(LINK_LOCAL_A, LINK_LOCAL_A), Passes(Outcome::Stack));
}

#[test]
fn nobody_else_is_asked_for() {
    for target in [B6, POD1_6, OUTSIDE6] {
        check(&solicitation(A6, SOLICITED_NODE, target, true), Dropped(Drop::NeighborTarget));
    }
}

#[test]
fn advertisements_for_others_are_dropped() {
    for target in [GATEWAY6, B6, POD1_6, OUTSIDE6] {
        check(&advertisement(A6, target), Dropped(Drop::SpoofedNeighbor));
        check(&icmp6(A6, B6, 136, &target), Dropped(Drop::SpoofedNeighbor));
    }
}

#[test]
fn routers_are_not_played() {
    for kind in [134, 137] {
        for (source, destination) in [(LINK_LOCAL_A, ALL_NODES), (A6, ALL_NODES), (A6, B6), (A6, OUTSIDE6)] {
            check(&icmp6(source, destination, kind, &[0; 40]), Dropped(Drop::RouterAdvertisement));
        }
    }
    check(&icmp6(LINK_LOCAL_A, ALL_ROUTERS, 133, &[]), Dropped(Drop::Multicast));
}

#[test]
fn the_link_carries_echo_to_the_gateway_and_nothing_else() {
    check(&icmp6(LINK_LOCAL_A, GATEWAY6, 128, &[0; 8]), Passes(Outcome::Stack));
    check(&icmp6(A6, GATEWAY6, 128, &[0; 8]), Passes(Outcome::Stack));
    // The node would have to resolve each of them: a pod could fill its neighbour table.
    check(&icmp6(OTHER_LINK_LOCAL, GATEWAY6, 128, &[0; 8]), Dropped(Drop::LinkLocal));
    check(&icmp6(A6, GATEWAY6, 128, &[0; 8]), Passes(Outcome::Stack));
    check(
        &icmp6(LINK_LOCAL_A, [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], 128, &[0; 8]),
        Dropped(Drop::LinkLocal),
    );
    check(&udp6(LINK_LOCAL_A, GATEWAY6, 64, 53), Dropped(Drop::LinkLocal));
    check(&udp6(LINK_LOCAL_A, B6, 64, 53), Dropped(Drop::LinkLocal));
    check(&icmp6(LINK_LOCAL_A, ALL_NODES, 143, &[0; 20]), Dropped(Drop::Multicast));
}

#[test]
fn link_scope_does_not_hide_a_spoofed_sender() {
    check(&from_mac(solicitation(A6, SOLICITED_NODE, GATEWAY6, true), OTHER_MAC), Dropped(Drop::SpoofedMac));
    check(&solicitation(B6, SOLICITED_NODE, GATEWAY6, true), Dropped(Drop::SpoofedAddress));
    check(&solicitation(GATEWAY6, SOLICITED_NODE, GATEWAY6, true), Dropped(Drop::SpoofedAddress));
    check(&advertisement(B6, A6), Dropped(Drop::SpoofedAddress));
}

#[test]
fn neighbour_discovery_that_was_routed_is_malformed() {
    let mut frame = solicitation(A6, SOLICITED_NODE, GATEWAY6, true);
    frame[21] = 64;
    check(&frame, Dropped(Drop::Malformed));
    // Too short for its target.
    check(&icmp6(A6, SOLICITED_NODE, 135, &[0; 4]), Dropped(Drop::Malformed));
}
