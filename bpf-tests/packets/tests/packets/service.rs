//! Packets for a Service's address, which no socket program translated.

use aya::maps::{HashMap, MapData};
use ferrule_common::{
    Address, Drop, Outcome,
    Program::{FromPod, ToNetdev},
    policy,
    service::{FrontendKey, PortWord},
    settings::DEFAULT_OPEN_MARK,
};

use crate::{
    frames::{TTL, udp4, udp6},
    run::Bench,
    world::{A4, A6, CLASS_A, OUTSIDE4, OUTSIDE6, SELF4, SELF6},
};

const SERVICE4: [u8; 4] = [10, 96, 0, 10];
const SERVICE6: [u8; 16] = [0xfd, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10];

/// A bench whose maps hold one Service; `stack` says who translates what the sockets did not.
fn bench(stack: bool) -> Bench {
    let mut bench = Bench::alone();
    let map = bench.ebpf().map_mut("fr_services").expect("the map is there");
    let mut map: HashMap<&mut MapData, FrontendKey, PortWord> = map.try_into().expect("a hash");
    for address in [Address::v4(SERVICE4), Address::v6(SERVICE6)] {
        map.insert(FrontendKey::address(address), PortWord::ADDRESS, 0).expect("the map has room");
    }
    if stack {
        map.insert(FrontendKey::UNSEEN, PortWord::STACK, 0).expect("the map has room");
    }
    bench
}

/// Lets A send nothing at all, by a table that holds no rule.
fn isolate(bench: &mut Bench) {
    let map = bench.ebpf().map_mut("fr_ep_state").expect("the map is there");
    let mut map: aya::maps::Array<&mut MapData, policy::Word> = map.try_into().expect("an array");
    map.set(CLASS_A, policy::Word::new(0, 1, 7), 0).expect("the map has room");
}

#[track_caller]
fn check(bench: &mut Bench, program: ferrule_common::Program, frame: &[u8], expected: (u32, u32)) {
    assert_eq!(bench.outcome(program, frame), expected, "{frame:02x?}");
}

#[test]
fn a_pods_are_refused_where_nobody_translates_them() {
    let mut bench = bench(false);
    for frame in [udp4(A4, SERVICE4, TTL, 53), udp6(A6, SERVICE6, TTL, 53)] {
        check(&mut bench, FromPod, &frame, (Drop::Service as u32, 0));
    }
    for frame in [udp4(A4, OUTSIDE4, TTL, 53), udp6(A6, OUTSIDE6, TTL, 53)] {
        check(&mut bench, FromPod, &frame, (Outcome::Stack as u32, 0));
    }
}

#[test]
fn a_pods_go_to_the_stack_where_kube_proxy_translates_them_with_their_egress_open() {
    let mut bench = bench(true);
    isolate(&mut bench);
    for frame in [udp4(A4, SERVICE4, TTL, 53), udp6(A6, SERVICE6, TTL, 53)] {
        check(&mut bench, FromPod, &frame, (Outcome::Stack as u32, DEFAULT_OPEN_MARK));
    }
    for frame in [udp4(A4, OUTSIDE4, TTL, 54), udp6(A6, OUTSIDE6, TTL, 54)] {
        check(&mut bench, FromPod, &frame, (Drop::PolicyEgress as u32, 0));
    }
}

#[test]
fn nobodys_leave_the_node_untranslated() {
    for stack in [false, true] {
        let mut bench = bench(stack);
        for frame in [
            udp4(SELF4, SERVICE4, TTL, 53),
            udp6(SELF6, SERVICE6, TTL, 53),
            udp4(A4, SERVICE4, TTL, 53),
            udp4(OUTSIDE4, SERVICE4, TTL, 53),
        ] {
            check(&mut bench, ToNetdev, &frame, (Drop::Service as u32, 0));
        }
        check(&mut bench, ToNetdev, &udp4(SELF4, OUTSIDE4, TTL, 53), (Outcome::Foreign as u32, 0));
    }
}
