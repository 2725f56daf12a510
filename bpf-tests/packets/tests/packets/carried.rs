//! What the host's stack carries between pods, after a NAT of somebody's.

use aya::maps::HashMap;
use ferrule_common::{
    Drop, Outcome,
    Program::{FromPod, ToNetdev, ToOverlay, ToPod},
    link::Link,
    settings::{DEFAULT_OPEN_MARK, LEFT_TO_STACK},
};

use crate::{
    frames::{Tcp, from_mac, segment},
    policed::Ports,
    run::Bench,
    world::{self, A4, B4, CLASS_A, CLASS_B, HERE, MAC_B, NODE1, OTHER_NETDEV, OUTSIDE4, OVERLAY, POD1, POD2, SELF4},
};

const TCP: u8 = 6;
const A: ([u8; 4], u16) = (A4, 40_000);
const B: ([u8; 4], u16) = (B4, 80);
const HOST_PORT: ([u8; 4], u16) = (SELF4, 8080);
const STACK: u32 = Outcome::Stack as u32;

#[test]
fn a_pods_way_to_its_own_node_is_open_and_marked() {
    let mut bench = Bench::alone();
    bench.table(6);
    bench.word(CLASS_A, 6, 6, 2);
    assert_eq!(bench.outcome(FromPod, &segment(A, HOST_PORT, Tcp::Syn)), (STACK, DEFAULT_OPEN_MARK));
}

#[test]
fn what_was_dnated_to_a_pod_is_judged_by_the_real_ends_and_answered_through_the_stack() {
    let mut bench = Bench::alone();
    world::put_behind(bench.ebpf(), A4, OTHER_NETDEV);
    bench.table(5);
    bench.word(CLASS_B, 5, 0, 2);
    let carried = segment(A, B, Tcp::Syn);
    let answer = from_mac(segment(B, A, Tcp::SynAck), MAC_B);
    bench.by(CLASS_B);
    bench.come_by(OTHER_NETDEV);
    assert_eq!(bench.outcome(ToPod, &carried).0, Drop::PolicyIngress as u32);
    bench.allow_anyone(5, Ports(TCP, 80, 16));
    assert_eq!(bench.outcome(ToPod, &carried).0, Outcome::Pod as u32);
    assert_eq!(bench.outcome(FromPod, &answer).0, STACK, "not straight to A");
    bench.table(6);
    bench.word(CLASS_A, 0, 6, 3);
    assert_eq!(bench.outcome(ToPod, &carried).0, Drop::PolicyEgress as u32, "the sender's egress counts");
}

#[test]
fn what_was_dnated_to_another_node_is_judged_where_it_leaves() {
    let mut bench = Bench::alone();
    bench.table(6);
    bench.word(CLASS_A, 0, 6, 2);
    bench.by(CLASS_A);
    bench.mark(DEFAULT_OPEN_MARK | 0x4000);
    let carried = segment(A, (POD1, 80), Tcp::Syn);
    assert_eq!(bench.outcome(ToOverlay, &carried).0, Drop::PolicyEgress as u32);
    assert_eq!(bench.outcome(ToNetdev, &segment(A, (OUTSIDE4, 80), Tcp::Syn)).0, Drop::PolicyEgress as u32);
    bench.allow_anyone(6, Ports(TCP, 80, 16));
    assert_eq!(bench.outcome(ToOverlay, &carried), (Outcome::Overlay as u32, 0x4000), "others' bits stay");
    assert_eq!(bench.flows()[0].1.via_stack, 1);
}

#[test]
fn what_the_stack_translated_for_a_pod_is_the_stacks_and_is_judged_by_its_real_ends() {
    let mut bench = Bench::alone();
    let tunnelled = segment(A, (POD1, 80), Tcp::Syn);
    let native = segment(A, (POD2, 80), Tcp::Syn);
    let of_node = segment(A, (NODE1, 80), Tcp::Syn);
    let ways = [
        (ToOverlay, &tunnelled, Outcome::Overlay as u32),
        (ToNetdev, &native, Outcome::Foreign as u32),
        // Its node believes pods' addresses from the tunnel alone.
        (ToNetdev, &of_node, Outcome::Overlay as u32),
    ];
    // From the pod's own link, without the stack: nothing was translated.
    assert_eq!(bench.outcome(ToOverlay, &tunnelled).0, Outcome::Overlay as u32);
    assert_eq!(bench.outcome(ToNetdev, &native).0, Outcome::Foreign as u32);
    assert!(bench.flows().is_empty(), "{:?}", bench.flows());
    bench.by(LEFT_TO_STACK);
    for (number, (program, frame, outcome)) in ways.into_iter().enumerate() {
        let seen = bench.see(program, frame);
        assert_eq!(seen.counted, outcome);
        assert!(
            outcome != Outcome::Overlay as u32 || program == ToOverlay || seen.target == OVERLAY,
            "{}",
            seen.target
        );
        assert_eq!(bench.flows().len(), number + 1);
        assert!(bench.flows().iter().all(|(_, flow)| flow.via_stack == 1));
    }
    assert_eq!(bench.outcome(ToNetdev, &segment(A, (OUTSIDE4, 80), Tcp::Syn)).0, Outcome::Foreign as u32);
    assert_eq!(bench.flows().len(), ways.len(), "what is nobody's in the cluster needs no entry");
    bench.table(6);
    bench.word(CLASS_A, 0, 6, 2);
    for (program, frame, _) in ways {
        assert_eq!(bench.outcome(program, frame).0, Drop::PolicyEgress as u32);
    }
}

#[test]
fn what_comes_back_to_the_pod_that_sent_it_passes_under_the_nodes_address_and_so_does_its_answer() {
    let mut bench = Bench::alone();
    bench.table(5);
    bench.word(CLASS_B, 5, 5, 2);
    bench.by(CLASS_B);
    let carried = segment((SELF4, 50_000), B, Tcp::Syn);
    bench.come_by(OTHER_NETDEV);
    assert_eq!(bench.outcome(ToPod, &carried).0, Drop::PolicyIngress as u32, "another's");
    bench.come_by(HERE);
    assert_eq!(bench.outcome(ToPod, &carried).0, Outcome::Pod as u32);
    let answer = from_mac(segment(B, (SELF4, 50_000), Tcp::SynAck), MAC_B);
    assert_eq!(bench.outcome(FromPod, &answer).0, STACK);
}

/// The link that A's packets come by where the device that programs run on is another's.
const LINK_OF_A: u32 = 4711;

/// What A sends to its own node's port, whose egress nobody but its table's allows.
fn masquerading() -> Bench {
    let mut bench = Bench::alone();
    let map = bench.ebpf().map_mut("fr_links").expect("the map is there");
    let mut links: HashMap<_, u32, Link> = map.try_into().expect("a hash");
    let link = Link { index: CLASS_A, ..links.get(&HERE, 0).expect("A's link") };
    links.insert(LINK_OF_A, link, 0).expect("the map has room");
    bench.table(6);
    bench.word(CLASS_A, 0, 6, 2);
    bench.come_by(LINK_OF_A);
    bench.mark(DEFAULT_OPEN_MARK | 0x4000);
    bench
}

#[test]
fn what_was_dnated_to_another_node_under_the_nodes_address_is_judged_by_who_sent_it() {
    let mut bench = masquerading();
    let carried = segment((SELF4, 50_000), (POD1, 80), Tcp::Syn);
    assert_eq!(bench.outcome(ToOverlay, &carried).0, Drop::PolicyEgress as u32);
    let outside = segment((SELF4, 50_000), (OUTSIDE4, 80), Tcp::Syn);
    assert_eq!(bench.outcome(ToNetdev, &outside).0, Drop::PolicyEgress as u32);
    bench.allow_anyone(6, Ports(TCP, 80, 16));
    assert_eq!(bench.outcome(ToOverlay, &carried), (Outcome::Overlay as u32, 0x4000), "others' bits stay");
    bench.table(7);
    bench.word(CLASS_A, 0, 7, 3);
    let data = segment((SELF4, 50_000), (POD1, 80), Tcp::Ack);
    assert_eq!(bench.outcome(ToOverlay, &data).0, Drop::PolicyEgress as u32, "what is denied since is cut");
    bench.come_by(OTHER_NETDEV);
    assert_eq!(bench.outcome(ToOverlay, &data).0, Outcome::Overlay as u32, "no pod's: the bit may be other software's");
}

#[test]
fn what_was_dnated_to_a_pod_of_this_node_under_the_nodes_address_is_judged_by_both_ends() {
    let mut bench = masquerading();
    bench.by(CLASS_B);
    let carried = segment((SELF4, 50_000), B, Tcp::Syn);
    assert_eq!(bench.outcome(ToPod, &carried).0, Drop::PolicyEgress as u32);
    bench.allow_anyone(6, Ports(TCP, 80, 16));
    bench.table(5);
    bench.word(CLASS_B, 5, 0, 2);
    assert_eq!(bench.outcome(ToPod, &carried).0, Drop::PolicyIngress as u32);
    bench.allow_anyone(5, Ports(TCP, 80, 16));
    assert_eq!(bench.outcome(ToPod, &carried).0, Outcome::Pod as u32);
    bench.mark(0);
    bench.come_by(HERE);
    let answer = from_mac(segment(B, (SELF4, 50_000), Tcp::SynAck), MAC_B);
    assert_eq!(bench.outcome(FromPod, &answer), (STACK, 0), "an answer opens nothing");
}

#[test]
fn what_answers_the_node_is_not_judged_where_the_hosts_nat_sends_it() {
    let mut bench = Bench::alone();
    bench.table(6);
    bench.word(CLASS_A, 6, 6, 2);
    bench.allow_anyone(6, Ports(TCP, 80, 16));
    bench.come_by(OTHER_NETDEV);
    assert_eq!(bench.outcome(ToPod, &segment((SELF4, 50_000), (A4, 80), Tcp::Syn)).0, Outcome::Pod as u32);
    let answer = segment((A4, 80), (SELF4, 50_000), Tcp::SynAck);
    assert_eq!(bench.outcome(FromPod, &answer), (STACK, 0), "unmarked");
}
