//! Packets one after another: what belongs to a flow, and who opened it.

use ferrule_common::{
    Drop, Outcome,
    Program::{FromPod, ToPod},
    flow::{DENIED_INGRESS, Flow},
    policy::ANYONE,
};

use crate::{
    frames::{Tcp, datagram, echo4, error4, fragment_of, from_mac, segment},
    policed::{ANY, Ports},
    run::Bench,
    world::{A4, B4, CLASS_A, CLASS_B, MAC_B, NODE1, OTHER_NETDEV, OUTSIDE4, SECOND_A4, SELF4},
};

const TCP: u8 = 6;
const UDP: u8 = 17;
const A: ([u8; 4], u16) = (A4, 40_000);
const B: ([u8; 4], u16) = (B4, 80);

/// What a frame sent by A or by B comes to.
#[track_caller]
fn sent(bench: &mut Bench, frame: &[u8]) -> u32 {
    let by_b = frame[26..30] == B4;
    bench.by(if by_b { CLASS_B } else { CLASS_A });
    let frame = if by_b { from_mac(frame.to_vec(), MAC_B) } else { frame.to_vec() };
    bench.outcome(FromPod, &frame).0
}

const PASSED: u32 = Outcome::Pod as u32;
const INGRESS: u32 = Drop::PolicyIngress as u32;

/// A may open TCP to B; nobody may open anything to A.
fn one_way() -> Bench {
    let mut bench = Bench::alone();
    bench.allow_anyone(5, Ports(TCP, 80, 16));
    bench.allow_anyone(5, Ports(UDP, 80, 16));
    bench.table(6);
    bench.word(CLASS_B, 5, 0, 2);
    bench.word(CLASS_A, 6, 0, 3);
    bench
}

#[test]
fn replies_pass_where_nothing_may_be_opened() {
    let mut bench = one_way();
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::SynAck)), INGRESS);
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Syn)), PASSED);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::SynAck)), PASSED);
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Ack)), PASSED);
    assert_eq!(sent(&mut bench, &segment(B, (A4, 40_001), Tcp::SynAck)), INGRESS);
    assert_eq!(bench.flows().len(), 1);
    assert_eq!((bench.share(CLASS_A), bench.share(CLASS_B)), (1, 0), "its opener is charged");
}

#[test]
fn a_syn_of_the_other_end_opens_a_flow_of_its_own() {
    let mut bench = one_way();
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Syn)), PASSED);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::Syn)), INGRESS);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::Ack)), PASSED, "the refused SYN changed nothing");
}

#[test]
fn a_flow_newly_denied_is_cut_in_both_directions_and_one_allowed_again_goes_on() {
    let mut bench = one_way();
    bench.allow_anyone(6, ANY);
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Syn)), PASSED);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::SynAck)), PASSED);
    bench.table(7);
    bench.word(CLASS_B, 7, 0, 9);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::Ack)), INGRESS, "though B might open a flow to A");
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Ack)), INGRESS);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::Ack)), INGRESS);
    bench.word(CLASS_B, 5, 0, 10);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::Ack)), PASSED);
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Ack)), PASSED);
}

#[test]
fn another_endpoint_with_the_address_takes_no_flow_over() {
    let mut bench = one_way();
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Syn)), PASSED);
    // Somebody else has A's address now, and its index.
    let before = bench.flows();
    let (_, mut flow) = before[0];
    (flow.lower_endpoint, flow.higher_endpoint) = (flow.lower_endpoint + 10, flow.higher_endpoint + 10);
    bench.word(CLASS_A, 6, 0, 20);
    bench.rewrite(&before[0].0, flow);
    assert_eq!(sent(&mut bench, &segment(B, A, Tcp::SynAck)), INGRESS);
}

#[test]
fn errors_about_a_packet_pass_to_who_sent_it_and_to_nobody_else() {
    let mut bench = one_way();
    let sent = datagram(A, (OUTSIDE4, 80));
    bench.by(CLASS_A);
    assert_eq!(bench.outcome(FromPod, &sent).0, Outcome::Stack as u32);
    bench.come_by(OTHER_NETDEV);
    for (receiver, expected) in [(A4, PASSED), (B4, INGRESS), (SECOND_A4, INGRESS)] {
        assert_eq!(bench.outcome(ToPod, &error4(OUTSIDE4, receiver, &sent)).0, expected, "{receiver:?}");
    }
    // The middle of a datagram, in which something else lies where the ports were.
    let middle = fragment_of(&sent, 1, true);
    assert_eq!(bench.outcome(ToPod, &error4(OUTSIDE4, A4, &middle)).0, INGRESS);
}

#[test]
fn a_flow_that_is_marked_as_denied_is_judged_whatever_words_it_has() {
    let mut bench = one_way();
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Syn)), PASSED);
    bench.deny(5, ANYONE, Ports(TCP, 80, 16));
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Ack)), PASSED, "the words stand, and the decision with them");
    // As a program of another layout may have left it.
    let (key, flow) = bench.flows()[0];
    bench.rewrite(&key, Flow { denied: DENIED_INGRESS, ..flow });
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Ack)), INGRESS);
}

#[test]
fn echo_belongs_to_who_asks() {
    let mut bench = one_way();
    bench.allow_anyone(5, ANY);
    assert_eq!(sent(&mut bench, &echo4(A4, B4, 7, false)), PASSED);
    assert_eq!(sent(&mut bench, &echo4(B4, A4, 7, true)), PASSED);
    assert_eq!(sent(&mut bench, &echo4(B4, A4, 7, false)), INGRESS);
    assert_eq!(sent(&mut bench, &echo4(B4, A4, 8, true)), INGRESS);
    assert_eq!(sent(&mut bench, &echo4(A4, B4, 9, true)), PASSED);
    assert_eq!(sent(&mut bench, &echo4(B4, A4, 9, false)), INGRESS, "an answer opens nothing");
}

#[test]
fn errors_about_a_flow_pass_to_its_ends_alone() {
    let mut bench = one_way();
    let asked = datagram(A, B);
    assert_eq!(sent(&mut bench, &error4(B4, A4, &asked)), INGRESS, "no flow yet");
    assert_eq!(sent(&mut bench, &asked), PASSED);
    assert_eq!(sent(&mut bench, &error4(B4, A4, &asked)), PASSED);
    assert_eq!(sent(&mut bench, &error4(B4, A4, &datagram((A4, 1), B))), INGRESS);
    let unrelated = Drop::UnrelatedError as u32;
    assert_eq!(sent(&mut bench, &error4(B4, A4, &datagram(B, A))), unrelated, "A never sent that");
    // A router's word counts, too; and a pod's for others does not.
    bench.by(CLASS_A);
    bench.come_by(OTHER_NETDEV);
    assert_eq!(bench.outcome(ToPod, &error4(OUTSIDE4, A4, &asked)).0, PASSED);
    bench.come_by(0);
    assert_eq!(sent(&mut bench, &datagram(A, (NODE1, 80))), Outcome::Overlay as u32);
    assert_eq!(sent(&mut bench, &error4(B4, A4, &datagram(A, (NODE1, 80)))), unrelated);
}

#[test]
fn later_fragments_go_with_the_first() {
    let mut bench = one_way();
    let whole = datagram(A, B);
    let other = datagram(A, (B4, 81));
    assert_eq!(sent(&mut bench, &fragment_of(&whole, 5, true)), Drop::FragmentUnknown as u32);
    assert_eq!(sent(&mut bench, &fragment_of(&whole, 5, false)), PASSED);
    assert_eq!(sent(&mut bench, &fragment_of(&whole, 5, true)), PASSED);
    assert_eq!(sent(&mut bench, &fragment_of(&whole, 6, true)), Drop::FragmentUnknown as u32);
    assert_eq!(sent(&mut bench, &fragment_of(&other, 6, false)), INGRESS);
    assert_eq!(sent(&mut bench, &fragment_of(&whole, 6, true)), Drop::FragmentUnknown as u32);
    bench.word(CLASS_A, 0, 0, 30);
    bench.word(CLASS_B, 0, 0, 31);
    assert_eq!(sent(&mut bench, &fragment_of(&whole, 8, true)), PASSED, "where nothing isolates");
}

#[test]
fn a_closed_connection_may_be_opened_again_from_the_same_port() {
    let mut bench = one_way();
    for _ in 0..3 {
        assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Syn)), PASSED);
        assert_eq!(sent(&mut bench, &segment(B, A, Tcp::SynAck)), PASSED);
        assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Fin)), PASSED);
        assert_eq!(sent(&mut bench, &segment(B, A, Tcp::Fin)), PASSED);
        let flow = bench.flows()[0].1;
        assert_eq!((flow.lower_tcp, flow.higher_tcp), (1, 1));
    }
    assert_eq!(bench.flows().len(), 1);
}

#[test]
fn a_reset_of_nothing_leaves_nothing() {
    let mut bench = one_way();
    assert_eq!(sent(&mut bench, &segment(A, B, Tcp::Rst)), PASSED);
    assert!(bench.flows().is_empty());
}

#[test]
fn a_denied_packet_leaves_nothing() {
    let mut bench = one_way();
    assert_eq!(sent(&mut bench, &segment(A, (B4, 81), Tcp::Syn)), INGRESS);
    assert!(bench.flows().is_empty());
    assert_eq!((bench.share(CLASS_A), bench.share(CLASS_B)), (0, 0));
}

#[test]
fn what_the_own_node_makes_passes_and_is_answered() {
    let mut bench = one_way();
    bench.word(CLASS_A, 6, 6, 40);
    bench.come_by(0);
    bench.by(CLASS_A);
    assert_eq!(bench.outcome(ToPod, &datagram((SELF4, 999), A)).0, PASSED);
    assert_eq!(bench.outcome(FromPod, &datagram(A, (SELF4, 999))).0, Outcome::Stack as u32);
    bench.come_by(OTHER_NETDEV);
    assert_eq!(bench.outcome(ToPod, &datagram((SELF4, 998), A)).0, INGRESS, "what it forwards is judged");
}
