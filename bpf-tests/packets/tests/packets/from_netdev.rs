//! What arrives on the node's own device.

use ferrule_common::{Drop, Outcome, Program::FromNetdev};

use crate::{
    extensions::extended,
    frames::{self, TTL, arp, other, udp4, udp6},
    run::{
        Bench,
        Expected::{self, Dropped, Passes, Redirected},
    },
    world::{
        A4, A6, B4, B6, MAC_A, NODE1, NODE2, OUTSIDE4, OUTSIDE6, POD1, POD1_6, POD2, POD2_6, SELF4, SELF6, STRAY1,
        THERE, UNUSED4, v6,
    },
};

#[track_caller]
fn check(frame: &[u8], expected: Expected<'_>) {
    Bench::new().check(FromNetdev, frame, expected);
}

#[test]
fn a_native_nodes_pods_reach_local_pods_directly() {
    for frame in [udp4(POD2, B4, TTL, 53), udp6(POD2_6, B6, TTL, 53), udp4(NODE2, B4, TTL, 53)] {
        check(&frame, Redirected(Outcome::Pod, THERE, &frame));
    }
}

#[test]
fn a_tunnelled_nodes_pods_do_not_come_in_the_open() {
    check(&udp4(POD1, B4, TTL, 53), Dropped(Drop::Unencapsulated));
    check(&udp6(POD1_6, B6, TTL, 53), Dropped(Drop::Unencapsulated));
    check(&udp4(STRAY1, SELF4, TTL, 53), Dropped(Drop::Unencapsulated));
}

#[test]
fn a_local_pods_address_does_not_come_from_outside() {
    for destination in [B4, SELF4, OUTSIDE4] {
        check(&udp4(A4, destination, TTL, 53), Dropped(Drop::LocalSource));
    }
    check(&udp6(A6, SELF6, TTL, 53), Dropped(Drop::LocalSource));
    check(&udp4(UNUSED4, B4, TTL, 53), Dropped(Drop::LocalSource));
}

#[test]
fn a_native_nodes_pods_come_by_the_device_that_leads_there() {
    check(&udp4([10, 244, 7, 7], B4, TTL, 53), Dropped(Drop::WrongNode));
    check(&udp6(v6(7, 7), B6, TTL, 53), Dropped(Drop::WrongNode));
}

#[test]
fn the_tunnels_port_hides_no_sender_from_a_pod() {
    check(&udp4(A4, B4, TTL, 8472), Dropped(Drop::LocalSource));
    check(&udp4(POD1, B4, TTL, 8472), Dropped(Drop::Unencapsulated));
}

#[test]
fn more_extension_headers_than_are_followed_hide_no_sender() {
    let frame = extended(&udp6(A6, SELF6, TTL, 53), &[60; 7]);
    check(&frame, Dropped(Drop::ExtensionHeaders));
}

#[test]
fn everything_else_is_left_as_it_is() {
    for frame in [
        udp4(OUTSIDE4, SELF4, TTL, 53),
        udp4(OUTSIDE4, B4, TTL, 53),
        udp6(OUTSIDE6, SELF6, TTL, 53),
        udp4(NODE1, SELF4, TTL, 53),
        udp4(NODE1, B4, TTL, 53),
        udp4(NODE1, SELF4, TTL, 8472),
        other(0x88cc),
        arp(true, MAC_A, OUTSIDE4, SELF4),
        frames::tagged(&udp4(A4, B4, TTL, 53)),
    ] {
        check(&frame, Passes(Outcome::Foreign));
    }
}

#[test]
fn errors_about_the_paths_mtu_are_counted() {
    let v4 = |kind, code| frames::icmp4(OUTSIDE4, SELF4, kind, code);
    check(&v4(3, 4), Passes(Outcome::PathMtu));
    for (kind, code) in [(3, 1), (11, 0), (8, 0)] {
        check(&v4(kind, code), Passes(Outcome::Foreign));
    }
    check(&frames::icmp6(OUTSIDE6, SELF6, 2, &[0; 40]), Passes(Outcome::PathMtu));
    check(&frames::icmp6(OUTSIDE6, SELF6, 1, &[0; 40]), Passes(Outcome::Foreign));
    // A pod's own are its own concern.
    check(&frames::icmp4(OUTSIDE4, B4, 3, 4), Passes(Outcome::Foreign));
}

#[test]
fn what_does_not_parse_is_the_stacks_to_judge() {
    let mut frame = udp4(OUTSIDE4, SELF4, TTL, 53);
    frame[14] = 0x44;
    check(&frame, Passes(Outcome::Foreign));
}
