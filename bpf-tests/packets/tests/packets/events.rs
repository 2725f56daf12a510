//! Whose drops are told of: a flood that one causes silences nobody else.

use aya::maps::{MapData, RingBuf};
use ferrule_common::{
    Drop,
    Program::{FromNetdev, FromPod},
    event::Event,
};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    unistd::Pid,
};

use crate::{
    frames::{TTL, udp4},
    run::Bench,
    world::{A4, B4, CLASS_A, OUTSIDE4, UNUSED4},
};

/// More than a CPU tells of in a second, and sent in far less.
const FLOOD: usize = 450;

/// A bench whose packets are all one CPU's.
fn bench() -> Bench {
    let mut one = CpuSet::new();
    one.set(0).expect("there is a first CPU");
    // Of this thread alone.
    sched_setaffinity(Pid::from_raw(0), &one).expect("it may choose its CPU");
    Bench::alone()
}

/// The events since the last look.
fn told(bench: &mut Bench) -> Vec<Event> {
    let ring = bench.ebpf().map_mut("fr_events").expect("the map is there");
    let mut ring: RingBuf<&mut MapData> = ring.try_into().expect("a ring");
    let mut events = Vec::new();
    while let Some(item) = ring.next() {
        // SAFETY: the programs write whole events, which are plain old data.
        events.push(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
    }
    events
}

/// A packet of A's own link with an address that is not its own.
fn spoofed(bench: &mut Bench) {
    bench.by(CLASS_A);
    let frame = udp4(UNUSED4, OUTSIDE4, TTL, 1);
    assert_eq!(bench.outcome(FromPod, &frame).0, Drop::SpoofedAddress as u32);
}

#[test]
fn what_floods_one_pod_silences_no_other() {
    let mut bench = bench();
    // From outside, with A's address as its source: it is for B, and whoever is named by it has no part in it.
    for _ in 0..FLOOD {
        let frame = udp4(A4, B4, TTL, 1);
        assert_eq!(bench.outcome(FromNetdev, &frame).0, Drop::LocalSource as u32);
    }
    let events = told(&mut bench);
    assert_eq!(events.len(), 25, "a quarter of what a CPU tells of in a second");
    spoofed(&mut bench);
    let events = told(&mut bench);
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!((events[0].endpoint, events[0].reason), (CLASS_A, Drop::SpoofedAddress as u32));
    assert_eq!(events[0].left_out as usize, FLOOD - 25);
}

#[test]
fn a_pod_that_floods_silences_no_other() {
    let mut bench = bench();
    (0..FLOOD).for_each(|_| spoofed(&mut bench));
    assert_eq!(told(&mut bench).len(), 25);
    let frame = udp4(A4, B4, TTL, 1);
    assert_eq!(bench.outcome(FromNetdev, &frame).0, Drop::LocalSource as u32);
    let events = told(&mut bench);
    assert_eq!(events.len(), 1, "{events:?}");
}
