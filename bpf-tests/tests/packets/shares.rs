//! How many flows an endpoint may have, and whose place a new one takes.

use ferrule_common::{
    Drop, Outcome,
    Program::FromPod,
    flow::{Flow, FlowKey},
};

use crate::{
    frames::{Tcp, datagram, from_mac, segment},
    run::Bench,
    world::{A4, B4, CLASS_A, CLASS_B, MAC_B, OUTSIDE4},
};

const PASSED: u32 = Outcome::Pod as u32;
const SHARE: u32 = Drop::ConntrackShare as u32;
/// More than any share.
const FULL: u64 = 1 << 32;
/// Longer ago than any flow may be silent, in jiffies.
const LONG: u32 = 1 << 30;

/// What a connection of A's to B comes to, from a port.
fn open(bench: &mut Bench, port: u16) -> u32 {
    bench.by(CLASS_A);
    bench.outcome(FromPod, &segment((A4, port), (B4, 80), Tcp::Syn)).0
}

/// B has a flow to the outside.
fn open_by_b(bench: &mut Bench) {
    bench.by(CLASS_B);
    let frame = from_mac(datagram((B4, 9), (OUTSIDE4, 9)), MAC_B);
    assert_eq!(bench.outcome(FromPod, &frame).0, Outcome::Stack as u32);
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

#[test]
fn an_endpoint_that_has_its_share_opens_no_more_and_keeps_what_lives() {
    let mut bench = Bench::alone();
    assert_eq!(open(&mut bench, 1), PASSED);
    let before = keys(&mut bench);
    bench.set_share(CLASS_A, FULL);
    assert_eq!(open(&mut bench, 2), SHARE);
    assert_eq!((keys(&mut bench), bench.share(CLASS_A)), (before, FULL));
    open_by_b(&mut bench);
    assert_eq!(bench.flows().len(), 2, "another has its own share");
}

#[test]
fn what_has_expired_gives_its_place_to_a_new_flow_of_its_share() {
    let mut bench = Bench::alone();
    assert_eq!(open(&mut bench, 1), PASSED);
    let_all_expire(&mut bench);
    let before = keys(&mut bench);
    bench.set_share(CLASS_A, FULL);
    assert_eq!(open(&mut bench, 2), PASSED);
    let after = keys(&mut bench);
    assert!(after.len() == 1 && after != before, "{after:?}");
    assert_eq!(bench.share(CLASS_A), FULL, "one went, one came");
}

#[test]
fn a_place_that_another_leaves_is_none_in_ones_own_share() {
    let mut bench = Bench::alone();
    open_by_b(&mut bench);
    let_all_expire(&mut bench);
    assert_eq!(bench.share(CLASS_B), 1);
    bench.set_share(CLASS_A, FULL);
    assert_eq!(open(&mut bench, 1), SHARE);
    assert_eq!((bench.flows().len(), bench.share(CLASS_B)), (0, 0), "the hand took it on its way");
}
