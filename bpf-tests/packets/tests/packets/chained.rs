//! A pod whose link another plugin made: judged, and left to that plugin.

use ferrule_common::{
    Drop, Outcome,
    Program::{self, FromPod, ToPod},
};

use crate::{
    frames::{TTL, Tcp, arp, from_mac, icmp6, other, segment, tagged, udp4, udp6},
    policed::Ports,
    run::{
        Bench,
        Expected::{self, Dropped, Passes},
    },
    world::{
        self, A4, A6, B4, B6, CLASS_A, CLASS_B, GATEWAY4, GATEWAY6, LINK_LOCAL_A, MAC_A, MAC_B, OTHER_MAC,
        OTHER_NETDEV, OUTSIDE4, OUTSIDE6, POD1, POD1_6, SECOND_A4, SELF4,
    },
};

const TCP: u8 = 6;
const UDP: u8 = 17;
const STACK: Expected<'static> = Passes(Outcome::Stack);
const POD: Expected<'static> = Passes(Outcome::Pod);
const MDNS4: [u8; 4] = [224, 0, 0, 251];
const MDNS6: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xfb];
const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SOLICITED_NODE: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 3];
const OTHER_LINK_LOCAL: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
/// The broadcast address of a bridge's network.
const NETWORK4: [u8; 4] = [10, 244, 1, 255];

/// A is foreign; what comes to it comes by another port of its bridge.
fn bench() -> Bench {
    let mut bench = Bench::alone();
    world::make_foreign(bench.ebpf());
    bench.come_by(OTHER_NETDEV);
    bench
}

#[track_caller]
fn check(program: Program, frame: &[u8], expected: Expected<'_>) {
    bench().check(program, frame, expected);
}

/// The same, for a pod that a table isolates in one direction, before and after the table allows something.
#[track_caller]
fn policed(program: Program, frame: &[u8], ports: Ports, expected: Expected<'_>) {
    let mut bench = bench();
    bench.table(5);
    let (ingress, egress, reason) =
        if program == FromPod { (0, 5, Drop::PolicyEgress) } else { (5, 0, Drop::PolicyIngress) };
    bench.word(CLASS_A, ingress, egress, 2);
    bench.check(program, frame, Dropped(reason));
    bench.allow_anyone(5, ports);
    bench.check(program, frame, expected);
    assert!(bench.flows().is_empty(), "nothing is remembered of what belongs to no flow");
}

fn to_all(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].fill(0xff);
    frame
}

fn advertisement(source: [u8; 16], destination: [u8; 16], target: [u8; 16]) -> Vec<u8> {
    icmp6(source, destination, 136, &[&target[..], &[2, 1], &MAC_A[..]].concat())
}

#[test]
fn its_packets_are_left_to_the_stack_wherever_they_go() {
    for destination in [B4, POD1, OUTSIDE4, SELF4, A4, GATEWAY4] {
        check(FromPod, &udp4(A4, destination, TTL, 53), STACK);
    }
    check(FromPod, &udp4(SECOND_A4, B4, TTL, 53), STACK);
    for destination in [B6, POD1_6, OUTSIDE6, A6] {
        check(FromPod, &udp6(A6, destination, TTL, 53), STACK);
    }
}

#[test]
fn what_others_send_it_is_left_to_the_stack() {
    let mut bench = bench();
    bench.by(CLASS_B);
    bench.check(FromPod, &from_mac(udp4(B4, A4, TTL, 53), MAC_B), STACK);
    bench.check(FromPod, &from_mac(udp6(B6, A6, TTL, 53), MAC_B), STACK);
    bench.check(Program::FromNetdev, &udp4([10, 244, 3, 2], A4, TTL, 53), STACK);
}

#[test]
fn it_is_judged_between_two_addresses_as_any_pod() {
    let mut bench = bench();
    bench.table(5);
    bench.word(CLASS_A, 5, 5, 2);
    let (out, back) =
        (segment((A4, 40_000), (OUTSIDE4, 80), Tcp::Syn), segment((OUTSIDE4, 80), (A4, 40_000), Tcp::SynAck));
    bench.check(FromPod, &out, Dropped(Drop::PolicyEgress));
    bench.check(ToPod, &segment((OUTSIDE4, 5), (A4, 80), Tcp::Syn), Dropped(Drop::PolicyIngress));
    bench.allow_anyone(5, Ports(TCP, 80, 16));
    bench.check(FromPod, &out, STACK);
    bench.check(ToPod, &back, POD);
    bench.check(ToPod, &segment((OUTSIDE4, 5), (A4, 80), Tcp::Syn), POD);
    bench.deny(5, ferrule_common::policy::ANYONE, Ports(TCP, 80, 16));
    bench.word(CLASS_A, 5, 5, 3);
    bench.check(ToPod, &back, Dropped(Drop::PolicyEgress));
}

#[test]
fn it_cannot_send_in_anothers_name() {
    check(FromPod, &udp4(B4, OUTSIDE4, TTL, 53), Dropped(Drop::SpoofedMac));
    check(FromPod, &udp4(OUTSIDE4, MDNS4, TTL, 53), Dropped(Drop::SpoofedAddress));
    check(FromPod, &from_mac(udp4(A4, MDNS4, TTL, 53), OTHER_MAC), Dropped(Drop::SpoofedMac));
    check(FromPod, &udp6(OUTSIDE6, MDNS6, TTL, 53), Dropped(Drop::SpoofedAddress));
    check(FromPod, &from_mac(udp6(A6, MDNS6, TTL, 53), OTHER_MAC), Dropped(Drop::SpoofedMac));
    check(FromPod, &udp4(A4, OUTSIDE4, TTL, 8472), Dropped(Drop::TunnelFromPod));
}

#[test]
fn it_asks_whom_it_likes_by_arp_and_speaks_for_itself() {
    for target in [B4, OUTSIDE4, GATEWAY4, A4] {
        check(FromPod, &arp(true, MAC_A, A4, target), STACK);
    }
    check(FromPod, &arp(true, MAC_A, [0; 4], A4), STACK);
    check(FromPod, &arp(false, MAC_A, A4, B4), STACK);
    for frame in [arp(false, MAC_A, OUTSIDE4, A4), arp(true, MAC_A, OUTSIDE4, B4), arp(false, MAC_A, [0; 4], A4)] {
        check(FromPod, &frame, Dropped(Drop::SpoofedNeighbor));
    }
    check(FromPod, &arp(true, OTHER_MAC, A4, B4), Dropped(Drop::SpoofedMac));
    check(FromPod, &from_mac(arp(true, MAC_A, A4, B4), OTHER_MAC), Dropped(Drop::SpoofedMac));
    check(ToPod, &arp(true, MAC_B, B4, A4), POD);
}

#[test]
fn neighbour_discovery_and_multicast_listeners_pass_also_where_policies_isolate_it() {
    let mut bench = bench();
    bench.table(5);
    bench.word(CLASS_A, 5, 5, 2);
    for source in [A6, LINK_LOCAL_A, [0; 16]] {
        bench.check(FromPod, &icmp6(source, SOLICITED_NODE, 135, &B6), STACK);
        bench.check(FromPod, &icmp6(source, ALL_NODES, 143, &[0; 20]), STACK);
    }
    bench.check(FromPod, &icmp6(LINK_LOCAL_A, ALL_NODES, 133, &[]), STACK);
    bench.check(FromPod, &advertisement(A6, B6, A6), STACK);
    bench.check(FromPod, &advertisement(LINK_LOCAL_A, ALL_NODES, LINK_LOCAL_A), STACK);
    bench.check(ToPod, &icmp6(B6, SOLICITED_NODE, 135, &A6), POD);
    bench.check(ToPod, &advertisement(B6, A6, B6), POD);
    bench.check(ToPod, &advertisement(B6, LINK_LOCAL_A, B6), POD);
    bench.check(ToPod, &icmp6(GATEWAY6, ALL_NODES, 134, &[0; 8]), POD);
    bench.check(ToPod, &icmp6(GATEWAY6, ALL_NODES, 130, &[0; 20]), POD);
}

#[test]
fn it_neither_advertises_others_nor_plays_router() {
    for target in [POD1_6, OUTSIDE6, GATEWAY6] {
        check(FromPod, &advertisement(A6, B6, target), Dropped(Drop::SpoofedNeighbor));
        check(FromPod, &advertisement(LINK_LOCAL_A, ALL_NODES, target), Dropped(Drop::SpoofedNeighbor));
    }
    check(FromPod, &advertisement(POD1_6, A6, A6), Dropped(Drop::SpoofedAddress));
    for kind in [134, 137] {
        check(FromPod, &icmp6(LINK_LOCAL_A, ALL_NODES, kind, &[0; 40]), Dropped(Drop::RouterAdvertisement));
        check(FromPod, &icmp6(A6, B6, kind, &[0; 40]), Dropped(Drop::RouterAdvertisement));
    }
}

#[test]
fn multicast_and_broadcast_are_left_to_the_other_plugin() {
    for frame in [udp4(A4, MDNS4, TTL, 5353), udp4(A4, [255; 4], TTL, 67), to_all(udp4(A4, NETWORK4, TTL, 137))] {
        check(FromPod, &frame, STACK);
        policed(FromPod, &frame, Ports(UDP, u16::from_be_bytes([frame[36], frame[37]]), 16), STACK);
    }
    policed(FromPod, &udp6(A6, MDNS6, TTL, 5353), Ports(UDP, 5353, 16), STACK);
    for frame in [udp4(B4, MDNS4, TTL, 5353), udp4(B4, [255; 4], TTL, 67), to_all(udp4(B4, NETWORK4, TTL, 137))] {
        check(ToPod, &frame, POD);
        policed(ToPod, &frame, Ports(UDP, u16::from_be_bytes([frame[36], frame[37]]), 16), POD);
    }
    policed(ToPod, &udp6(B6, MDNS6, TTL, 5353), Ports(UDP, 5353, 16), POD);
}

#[test]
fn link_local_addresses_are_no_way_past_a_policy() {
    let (out, into) = (udp6(LINK_LOCAL_A, OTHER_LINK_LOCAL, TTL, 53), udp6(OTHER_LINK_LOCAL, LINK_LOCAL_A, TTL, 53));
    check(FromPod, &out, STACK);
    check(ToPod, &into, POD);
    policed(FromPod, &out, Ports(UDP, 53, 16), STACK);
    policed(ToPod, &into, Ports(UDP, 53, 16), POD);
    policed(FromPod, &udp6(LINK_LOCAL_A, B6, TTL, 53), Ports(UDP, 53, 16), STACK);
    policed(FromPod, &udp6(A6, OTHER_LINK_LOCAL, TTL, 53), Ports(UDP, 53, 16), STACK);
}

#[test]
fn its_own_node_reaches_it_by_any_address() {
    let mut bench = bench();
    bench.table(5);
    bench.word(CLASS_A, 5, 5, 2);
    bench.come_by(0);
    for frame in [udp4(SELF4, A4, TTL, 53), udp4(SELF4, MDNS4, TTL, 53), udp6(OTHER_LINK_LOCAL, LINK_LOCAL_A, TTL, 53)]
    {
        bench.check(ToPod, &frame, POD);
    }
}

#[test]
fn what_a_bridge_floods_for_another_does_not_reach_it() {
    check(ToPod, &udp4(B4, OUTSIDE4, TTL, 53), Dropped(Drop::NotThisPod));
    check(ToPod, &udp6(B6, OUTSIDE6, TTL, 53), Dropped(Drop::NotThisPod));
}

#[test]
fn frames_that_are_not_ip_or_carry_a_tag_are_dropped() {
    check(FromPod, &other(0x88cc), Dropped(Drop::Ethertype));
    check(FromPod, &tagged(&udp4(A4, B4, TTL, 53)), Dropped(Drop::Vlan));
    check(ToPod, &other(0x88cc), Dropped(Drop::Ethertype));
}
