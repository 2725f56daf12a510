//! What a CPU remembers of flows for a second, so that it need not ask the table.

use std::{thread, time::Duration};

use etherparse::PacketBuilder;
use ferrule_common::{
    Address, Drop, Outcome,
    Program::FromPod,
    flow::{FlowKey, RST},
    peer::{self, Node, Peer},
    source::Source,
};

use crate::{
    frames::{Tcp, datagram, from_mac, segment},
    policed::Ports,
    run::Bench,
    world::{A4, B4, CLASS_A, CLASS_B, MAC_A, MAC_B, OTHER_MAC, POD_MTU, POD1, UNUSED4},
};

const TCP: u8 = 6;
const A: ([u8; 4], u16) = (A4, 40_000);
const B: ([u8; 4], u16) = (B4, 80);
const PASSED: u32 = Outcome::Pod as u32;
const INGRESS: u32 = Drop::PolicyIngress as u32;

/// A may open TCP to B; nobody may open anything to A.
fn one_way() -> Bench {
    let mut bench = Bench::alone();
    bench.allow_anyone(5, Ports(TCP, 80, 16));
    bench.table(6);
    bench.word(CLASS_B, 5, 0, 2);
    bench.word(CLASS_A, 6, 0, 3);
    bench
}

fn by_a(bench: &mut Bench, from: ([u8; 4], u16), flags: Tcp) -> u32 {
    bench.by(CLASS_A);
    bench.outcome(FromPod, &segment(from, B, flags)).0
}

fn by_b(bench: &mut Bench, to: ([u8; 4], u16), flags: Tcp) -> u32 {
    bench.by(CLASS_B);
    bench.outcome(FromPod, &from_mac(segment(B, to, flags), MAC_B)).0
}

/// A connection of which both directions are remembered, and its key.
#[track_caller]
fn established(bench: &mut Bench) -> FlowKey {
    assert_eq!(by_a(bench, A, Tcp::Syn), PASSED);
    assert_eq!(by_b(bench, A, Tcp::SynAck), PASSED);
    assert_eq!(by_a(bench, A, Tcp::Ack), PASSED);
    assert_eq!(by_b(bench, A, Tcp::Ack), PASSED);
    bench.flows()[0].0
}

#[test]
fn the_table_is_not_asked_for_what_was_just_seen() {
    let mut bench = one_way();
    let key = established(&mut bench);
    bench.steal(&key);
    assert_eq!(by_b(&mut bench, A, Tcp::Ack), PASSED);
    assert_eq!(by_a(&mut bench, A, Tcp::Ack), PASSED);
    assert!(bench.flows().is_empty(), "it was asked, and has the flow again");
    assert_eq!(by_b(&mut bench, A, Tcp::Fin), INGRESS, "an end is for the table");
}

#[test]
fn it_is_asked_again_after_a_second() {
    let mut bench = one_way();
    let key = established(&mut bench);
    bench.steal(&key);
    thread::sleep(Duration::from_millis(1_200));
    assert_eq!(by_b(&mut bench, A, Tcp::Ack), INGRESS);
}

#[test]
fn it_is_asked_again_where_something_was_removed() {
    let mut bench = one_way();
    let key = established(&mut bench);
    bench.steal(&key);
    bench.forget();
    assert_eq!(by_b(&mut bench, A, Tcp::Ack), INGRESS);
}

#[test]
fn it_is_asked_again_where_a_word_has_changed() {
    for (pod, ingress, epoch) in [(CLASS_A, 6, 9), (CLASS_B, 5, 9)] {
        let mut bench = one_way();
        let key = established(&mut bench);
        bench.steal(&key);
        bench.word(pod, ingress, 0, epoch);
        assert_eq!(by_b(&mut bench, A, Tcp::Ack), INGRESS, "a word of {pod}");
    }
}

#[test]
fn flows_that_share_a_place_are_told_apart() {
    let mut bench = one_way();
    for port in (10_000..14_000).step_by(2) {
        let (open, other) = ((A4, port), (A4, port + 1));
        assert_eq!(by_a(&mut bench, open, Tcp::Syn), PASSED);
        assert_eq!(by_b(&mut bench, open, Tcp::SynAck), PASSED);
        assert_eq!(by_b(&mut bench, open, Tcp::Ack), PASSED);
        assert_eq!(by_b(&mut bench, other, Tcp::Ack), INGRESS, "port {port}");
    }
}

#[test]
fn an_end_that_goes_on_after_its_reset_is_seen_to() {
    let mut bench = one_way();
    established(&mut bench);
    assert_eq!(by_a(&mut bench, A, Tcp::Rst), PASSED);
    let reset = |bench: &mut Bench| {
        let (_, flow) = bench.flows()[0];
        (flow.lower_tcp | flow.higher_tcp) & RST != 0
    };
    assert!(reset(&mut bench));
    assert_eq!(by_b(&mut bench, A, Tcp::Ack), PASSED);
    assert!(reset(&mut bench), "the other end says nothing of it");
    assert_eq!(by_a(&mut bench, A, Tcp::Ack), PASSED);
    assert!(!reset(&mut bench));
}

/// What becomes of a datagram of A's to a pod of another node.
fn far(bench: &mut Bench) -> u32 {
    bench.by(CLASS_A);
    bench.outcome(FromPod, &datagram(A, (POD1, 53))).0
}

/// A flow of A's to a pod of another node, of which the last packet is remembered.
#[track_caller]
fn led_far() -> Bench {
    let mut bench = one_way();
    for _ in 0..3 {
        assert_eq!(far(&mut bench), Outcome::Overlay as u32);
    }
    bench
}

#[test]
fn a_packet_goes_where_the_last_one_of_its_flow_did() {
    let mut bench = led_far();
    let native = Peer { node: 2, kind: peer::POD };
    bench.hash("fr_peers").insert(Address::v4(POD1), native, 0).expect("there is room");
    assert_eq!(far(&mut bench), Outcome::Overlay as u32);
    bench.forget();
    assert_eq!(far(&mut bench), Outcome::Native as u32);
}

#[test]
fn nothing_goes_to_a_node_that_is_not_there_any_more() {
    let mut bench = led_far();
    let gone = Node { forwarding: peer::NONE, ..bench.array("fr_nodes").get(&1, 0).expect("it is within bounds") };
    bench.array("fr_nodes").set(1, gone, 0).expect("it is within bounds");
    assert_eq!(far(&mut bench), Outcome::Stack as u32);
}

#[test]
fn a_pod_is_known_by_its_address_where_its_index_is_anothers() {
    let mut bench = one_way();
    established(&mut bench);
    let target = |bench: &mut Bench| {
        bench.by(CLASS_A);
        bench.see(FromPod, &segment(A, B, Tcp::Ack)).target
    };
    let own = target(&mut bench);
    let other = Source { ifindex: own + 1, v4: Address::v4(UNUSED4), ..Source::FREE };
    bench.array("fr_sources").set(CLASS_B, other, 0).expect("it is within bounds");
    assert_eq!(target(&mut bench), own);
}

#[test]
fn what_is_too_large_for_its_receiver_goes_to_the_stack_also_in_a_flow_that_is_known() {
    for receiver in [B4, POD1] {
        let mut bench = Bench::alone();
        let mut outcome = |payload: usize| {
            bench.by(CLASS_A);
            bench.outcome(FromPod, &large(receiver, payload)).0
        };
        let small = [outcome(10), outcome(10), outcome(10)][2];
        assert!(small == PASSED || small == Outcome::Overlay as u32);
        assert_eq!(outcome(POD_MTU as usize), Outcome::Stack as u32, "{receiver:?}");
    }
}

/// A datagram of A's.
fn large(to: [u8; 4], payload: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2(MAC_A, OTHER_MAC).ipv4(A4, to, 64).udp(40_000, 53);
    builder.write(&mut frame, &vec![0; payload]).expect("it is built");
    frame
}
