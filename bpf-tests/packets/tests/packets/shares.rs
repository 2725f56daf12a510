//! How many flows an endpoint and a tenant may have, and whose place a new one takes.

use ferrule_common::{
    Drop, Outcome,
    Program::{FromPod, ToPod},
    flow::{CONFIRMED, Flow, FlowKey, INCOMING, POOLED, SYN_RECEIVED, Share},
};

use crate::{
    frames::{Tcp, datagram, from_mac, segment},
    policed::{ANY, Ports},
    run::Bench,
    world::{A4, B4, CLASS_A, CLASS_B, HERE, MAC_B, OTHER_NETDEV, OUTSIDE4, SELF4, TENANT},
};

const PASSED: u32 = Outcome::Pod as u32;
const SHARE: u32 = Drop::ConntrackShare as u32;
const FULL: u32 = Drop::ConntrackFull as u32;
/// Longer ago than any flow may be silent, in jiffies.
const LONG: u32 = 1 << 30;
/// More than any share, beyond the reserve.
const TOO_MANY: u32 = 1 << 30;

/// Policies that allow everything isolate A and B, so that each flow needs its entry. Nothing is reserved.
fn isolated() -> Bench {
    let mut bench = Bench::alone();
    for table in [5, 6] {
        bench.allow_anyone(table, ANY);
    }
    bench.word(CLASS_A, 5, 6, 2);
    bench.word(CLASS_B, 5, 6, 3);
    bench.set_quota(0, 1 << 20);
    bench
}

/// What a connection of A's to B comes to, from a port.
fn open(bench: &mut Bench, port: u16) -> u32 {
    bench.by(CLASS_A);
    bench.outcome(FromPod, &segment((A4, port), (B4, 80), Tcp::Syn)).0
}

/// A connection of A's to B on which both have spoken.
fn establish(bench: &mut Bench, port: u16) {
    assert_eq!(open(bench, port), PASSED);
    bench.by(CLASS_B);
    assert_eq!(bench.outcome(FromPod, &from_mac(segment((B4, 80), (A4, port), Tcp::SynAck), MAC_B)).0, PASSED);
    bench.by(CLASS_A);
    assert_eq!(bench.outcome(FromPod, &segment((A4, port), (B4, 80), Tcp::Ack)).0, PASSED);
}

/// A connection from outside to A's port 80, and A's answer.
fn half_open(bench: &mut Bench, port: u16) -> u32 {
    let outcome = from_outside(bench, port, Tcp::Syn);
    if outcome == PASSED {
        bench.by(CLASS_A);
        assert_ne!(bench.outcome(FromPod, &segment((A4, 80), (OUTSIDE4, port), Tcp::SynAck)).0, SHARE);
    }
    outcome
}

fn from_outside(bench: &mut Bench, port: u16, flags: Tcp) -> u32 {
    bench.come_by(OTHER_NETDEV);
    let outcome = bench.outcome(ToPod, &segment((OUTSIDE4, port), (A4, 80), flags)).0;
    bench.come_by(0);
    outcome
}

/// Nothing was heard of any flow for long.
fn let_all_expire(bench: &mut Bench) {
    for (key, flow) in bench.flows() {
        let (seen, opened) = (flow.seen.wrapping_sub(LONG), flow.opened.wrapping_sub(LONG));
        bench.rewrite(&key, Flow { seen, opened, ..flow });
    }
}

fn keys(bench: &mut Bench) -> Vec<FlowKey> {
    bench.flows().into_iter().map(|(key, _)| key).collect()
}

fn full_out(pooled_out: u32) -> Share {
    Share { pooled_out, ..Share::default() }
}

fn full_in(pooled_in: u32) -> Share {
    Share { pooled_in, ..Share::default() }
}

#[test]
fn an_endpoint_that_has_its_share_opens_no_more_and_keeps_what_lives() {
    let mut bench = isolated();
    establish(&mut bench, 1);
    let before = keys(&mut bench);
    bench.set_share(CLASS_A, full_out(TOO_MANY));
    assert_eq!(open(&mut bench, 2), SHARE);
    assert_eq!(keys(&mut bench), before);
    assert_eq!(bench.shares(CLASS_A), Share { refused: 1, ..full_out(TOO_MANY) });
    bench.by(CLASS_B);
    let frame = from_mac(datagram((B4, 9), (OUTSIDE4, 9)), MAC_B);
    assert_eq!(bench.outcome(FromPod, &frame).0, Outcome::Stack as u32);
    assert_eq!(bench.flows().len(), 2, "another has its own share");
}

#[test]
fn what_has_expired_gives_its_place_to_a_new_flow_of_its_share() {
    let mut bench = isolated();
    establish(&mut bench, 1);
    let_all_expire(&mut bench);
    let before = keys(&mut bench);
    bench.set_share(CLASS_A, full_out(TOO_MANY));
    assert_eq!(open(&mut bench, 2), PASSED);
    let after = keys(&mut bench);
    assert!(after.len() == 1 && after != before, "{after:?}");
    assert_eq!(bench.shares(CLASS_A).pooled_out, TOO_MANY, "one went, one came");
}

#[test]
fn a_place_that_another_leaves_is_none_in_ones_own_share() {
    let mut bench = isolated();
    bench.by(CLASS_B);
    let frame = from_mac(datagram((B4, 9), (OUTSIDE4, 9)), MAC_B);
    assert_eq!(bench.outcome(FromPod, &frame).0, Outcome::Stack as u32);
    let_all_expire(&mut bench);
    assert_eq!(bench.share(CLASS_B), 1);
    bench.set_share(CLASS_A, full_out(TOO_MANY));
    assert_eq!(open(&mut bench, 1), SHARE);
    assert_eq!((bench.flows().len(), bench.share(CLASS_B)), (0, 0), "the hand took it on its way");
}

#[test]
fn only_its_openers_word_after_the_answer_establishes_a_connection() {
    let mut bench = isolated();
    assert_eq!(half_open(&mut bench, 7), PASSED);
    assert_eq!(bench.flows()[0].1.answered, SYN_RECEIVED);
    // What answers a SYN that nobody sent is sent again and again, and keeps nothing.
    let (key, flow) = bench.flows()[0];
    bench.rewrite(&key, Flow { opened: flow.opened.wrapping_sub(LONG), ..flow });
    assert_eq!(half_open(&mut bench, 8), PASSED);
    bench.set_share(CLASS_A, full_in(TOO_MANY));
    assert_eq!(half_open(&mut bench, 9), PASSED);
    assert!(!keys(&mut bench).contains(&key), "it had its seconds");
    let mut bench = isolated();
    assert_eq!(half_open(&mut bench, 7), PASSED);
    assert_eq!(from_outside(&mut bench, 7, Tcp::Ack), PASSED);
    assert_eq!(bench.flows()[0].1.answered, CONFIRMED);
}

#[test]
fn forged_beginnings_make_room_for_each_other_and_touch_nothing_else() {
    let mut bench = isolated();
    // One from outside and one of A's own that both stand.
    assert_eq!(half_open(&mut bench, 1), PASSED);
    assert_eq!(from_outside(&mut bench, 1, Tcp::Ack), PASSED);
    establish(&mut bench, 1);
    let standing = keys(&mut bench);
    assert_eq!(half_open(&mut bench, 2), PASSED);
    bench.set_share(CLASS_A, Share { pooled_in: TOO_MANY, pooled_out: 1, ..Share::default() });
    for port in 1000..1100 {
        assert_eq!(half_open(&mut bench, port), PASSED, "{port}");
    }
    let after = keys(&mut bench);
    assert!(standing.iter().all(|key| after.contains(key)), "{standing:?} {after:?}");
    assert_eq!(after.len(), 3, "each took the place of the one before");
    establish(&mut bench, 2);
    assert_eq!(bench.shares(CLASS_A).pooled_out, 2, "what it opens has a share of its own");
}

#[test]
fn the_own_nodes_probes_need_no_place() {
    let mut bench = isolated();
    bench.set_share(CLASS_A, Share { pooled_in: TOO_MANY, pooled_out: TOO_MANY, ..Share::default() });
    bench.set_share(0, full_out(TOO_MANY));
    bench.set_pooled(0, 1 << 20);
    bench.come_by(0);
    assert_eq!(bench.outcome(ToPod, &segment((SELF4, 9), (A4, 80), Tcp::Syn)).0, PASSED);
    bench.by(CLASS_A);
    assert_eq!(bench.outcome(FromPod, &segment((A4, 80), (SELF4, 9), Tcp::SynAck)).0, Outcome::Stack as u32);
    assert!(bench.flows().is_empty());
}

#[test]
fn the_own_nodes_flows_are_the_nodes() {
    let mut bench = isolated();
    bench.come_by(0);
    assert_eq!(bench.outcome(ToPod, &segment((SELF4, 9), (A4, 80), Tcp::Syn)).0, PASSED);
    assert_eq!((bench.share(0), bench.share(CLASS_A)), (1, 0));
}

#[test]
fn where_nothing_isolates_a_full_table_stops_nobody() {
    let mut bench = Bench::alone();
    bench.set_quota(0, 1);
    bench.set_pooled(0, 1);
    assert_eq!(open(&mut bench, 1), PASSED);
    assert!(bench.flows().is_empty());
    assert_eq!(bench.shares(CLASS_A).refused, 1);
    bench.table(5);
    bench.word(CLASS_B, 5, 0, 7);
    bench.allow_anyone(5, Ports(6, 80, 16));
    assert_eq!(open(&mut bench, 1), FULL, "what is isolated needs an entry");
}

#[test]
fn a_reserve_is_its_endpoints_whoever_fills_the_pool() {
    let mut bench = isolated();
    bench.set_quota(2, 10);
    bench.set_pooled(0, 10);
    establish(&mut bench, 1);
    establish(&mut bench, 2);
    assert_eq!(open(&mut bench, 3), FULL);
    assert_eq!(half_open(&mut bench, 1), PASSED, "what comes in has one, too");
    assert_eq!(bench.shares(CLASS_A), Share { reserved_out: 2, reserved_in: 1, refused: 1, ..Share::default() });
    assert_eq!((bench.pooled(0), bench.pooled(TENANT)), (10, 0));
}

#[test]
fn a_tenant_leaves_something_of_the_pool() {
    let mut bench = isolated();
    bench.set_quota(0, 90);
    // Twice what is left.
    bench.set_pooled(0, 60);
    bench.set_pooled(TENANT, 60);
    assert_eq!(open(&mut bench, 1), SHARE);
    bench.set_pooled(TENANT, 59);
    assert_eq!(open(&mut bench, 1), PASSED);
    assert_eq!((bench.pooled(0), bench.pooled(TENANT)), (61, 60));
    let (_, flow) = bench.flows()[0];
    assert_eq!((flow.counted, flow.tenant), (POOLED, TENANT));
    // Its own half-open one makes room even so.
    assert_eq!(open(&mut bench, 2), PASSED);
    assert_eq!((bench.pooled(0), bench.pooled(TENANT), bench.flows().len()), (61, 60, 1));
}

#[test]
fn what_goes_is_counted_out_where_it_was_counted_in() {
    let mut bench = isolated();
    bench.set_quota(1, 100);
    for port in [1, 2] {
        assert_eq!(half_open(&mut bench, port), PASSED);
    }
    let counted: Vec<u32> = bench.flows().into_iter().map(|(_, flow)| flow.counted).collect();
    assert!(counted.contains(&INCOMING) && counted.contains(&(INCOMING | POOLED)), "{counted:?}");
    let_all_expire(&mut bench);
    bench.set_share(CLASS_B, Share { reserved_out: 1, ..full_out(TOO_MANY) });
    bench.by(CLASS_B);
    // The hand goes round.
    bench.outcome(FromPod, &from_mac(segment((B4, 1), (A4, 80), Tcp::Syn), MAC_B));
    assert_eq!(bench.shares(CLASS_A), Share::default());
    assert_eq!(bench.pooled(TENANT), bench.pooled(0));
}

#[test]
fn a_count_that_fell_below_zero_locks_nobody_out() {
    let mut bench = isolated();
    bench.set_share(CLASS_A, Share { pooled_out: u32::MAX, reserved_out: u32::MAX, ..Share::default() });
    bench.set_pooled(0, u32::MAX);
    bench.set_pooled(TENANT, u32::MAX);
    assert_eq!(open(&mut bench, 1), PASSED);
}

#[test]
fn what_others_begin_towards_a_tenant_makes_room_for_what_it_opens() {
    let mut bench = isolated();
    assert_eq!(half_open(&mut bench, 1), PASSED);
    assert_eq!(half_open(&mut bench, 2), PASSED);
    assert_eq!(from_outside(&mut bench, 2, Tcp::Ack), PASSED);
    bench.set_quota(0, 90);
    // One less, and there is room.
    bench.set_pooled(0, 60);
    bench.set_pooled(TENANT, 60);
    bench.by(CLASS_B);
    let opens = from_mac(segment((B4, 9), (OUTSIDE4, 9), Tcp::Syn), MAC_B);
    assert_eq!(bench.outcome(FromPod, &opens).0, Outcome::Stack as u32);
    let flows = bench.flows();
    assert_eq!(flows.len(), 2, "what nobody has confirmed has gone: {flows:?}");
    assert!(flows.iter().any(|(_, flow)| flow.answered == CONFIRMED), "{flows:?}");
}

#[test]
fn what_comes_back_to_its_own_pod_by_the_hosts_nat_is_that_pods() {
    let mut bench = isolated();
    bench.come_by(HERE);
    assert_eq!(bench.outcome(ToPod, &segment((SELF4, 9), (A4, 80), Tcp::Syn)).0, PASSED);
    assert_eq!((bench.share(0), bench.share(CLASS_A)), (0, 1));
}
