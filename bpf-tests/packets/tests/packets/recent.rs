//! What a CPU remembers of flows for a second, so that it need not ask the table.

use std::{thread, time::Duration};

use ferrule_common::{
    Drop, Outcome,
    Program::FromPod,
    flow::{FlowKey, RST},
};

use crate::{
    frames::{Tcp, from_mac, segment},
    policed::Ports,
    run::Bench,
    world::{A4, B4, CLASS_A, CLASS_B, MAC_B},
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
