//! Packets that nobody built, through every loaded program: `cargo xtask fuzz packets` goes on for longer.
//!
//! Two readers of headers that share nothing with the programs (`reading`, and etherparse) say what a packet is; where it
//! may go follows from the maps that the test has written: pods are isolated, and only UDP to port 53 is allowed, from A and
//! into B. Whatever lies in a packet, nothing else passes an isolated pod, and all of that does.

#[expect(dead_code, reason = "shared with the packet tests, which use all of it")]
#[path = "../packets/policed.rs"]
mod policed;
mod reading;
mod rules;
#[expect(dead_code, reason = "as above")]
#[path = "../packets/run.rs"]
mod run;
#[expect(dead_code, reason = "as above")]
#[path = "../packets/world.rs"]
mod world;

use std::cell::RefCell;

use aya::maps::{Array, HashMap, Map, MapData, Queue};
use ferrule_common::{
    Program,
    flow::{Flow, FlowKey, Fragment, FragmentKey, QueuedFlow, Share},
    policy::ANYONE,
    settings,
};
use ferrule_fuzz::Target;

use self::{
    policed::Ports,
    reading::Reading,
    rules::{Case, PORT, keeps_the_rules},
    run::{Bench, Outer},
    world::{CLASS_A, CLASS_B, NODE1, NODE1_6},
};

const UDP: u8 = 17;
/// The pod whose bandwidth is limited.
const LIMITED: u32 = 3;
/// Another device than the programs run on.
const ELSEWHERE: u32 = 2;

#[test]
fn nothing_passes_an_isolated_pod_but_what_is_allowed() {
    let target = Target {
        name: "packets",
        corpus: concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/packets"),
        scratch: env!("CARGO_TARGET_TMPDIR"),
        words: &[],
        longest: 1024,
        cases: 50_000,
    };
    let bench = RefCell::new(isolated());
    let summary = target.run(|input| outcome(&mut bench.borrow_mut(), input));
    assert!(summary.outcomes > 60, "only {} outcomes: the corpus reaches too little", summary.outcomes);
}

/// What pods may send and get: see this file's opening.
fn isolated() -> Bench {
    let mut bench = Bench::alone();
    for (pod, ingress, egress) in [(CLASS_A, 3, 1), (CLASS_B, 2, 4), (LIMITED, 3, 4)] {
        bench.word(pod, ingress, egress, 1);
    }
    for table in [1, 2] {
        bench.allow(table, ANYONE, Ports(UDP, PORT, 16));
    }
    // Tables that allow nothing.
    bench.table(3);
    bench.table(4);
    bench
}

/// The first byte says which program, and by which way the packet comes; the rest is the frame.
fn outcome(bench: &mut Bench, input: &[u8]) -> String {
    let Some((way, frame)) = input.split_first() else { return "nothing".into() };
    // What the kernel's test run refuses.
    let least = match frame.get(12..14) {
        Some([0x08, 0x00]) => 34,
        Some([0x86, 0xdd]) => 54,
        _ => 14,
    };
    if frame.len() < least {
        return "too short".into();
    }
    let (first, among) = if way & 0x80 == 0 { (0, 6) } else { (6, 3) };
    let program = Program::ALL[first + usize::from(way % among)];
    let other_way = way & 0x40 != 0;
    match program {
        Program::FromOverlay if other_way => {
            bench.come_out(Outer { family: 6, vni: settings::VNI, source: [0, 0, NODE1_6[14], NODE1_6[15]] });
        }
        Program::FromOverlay => bench.come_out(Outer { family: 4, vni: settings::VNI, source: NODE1 }),
        _ => bench.by(CLASS_A),
    }
    let own = program == Program::ToPod && other_way;
    bench.come_by(if own { 0 } else { ELSEWHERE });
    let seen = bench.see(program, frame);
    let reading = Reading::of(frame);
    let flows = bench.flows();
    // Before a rule may turn out to be broken: the next packet is the first of all.
    forget(bench, &flows, frame);
    let case = Case { program, own, frame, reading: reading.as_ref(), seen: &seen, flows: &flows };
    keeps_the_rules(&case);
    format!("{} {} {} {}", program.name(), other_way, seen.counted, class_of(reading.as_ref()))
}

/// Removes what a packet left in maps.
fn forget(bench: &mut Bench, flows: &[(FlowKey, Flow)], frame: &[u8]) {
    for (key, flow) in flows {
        hash::<FlowKey, Flow>(bench, "fr_conntrack").remove(key).expect("it is there");
        let mut shares: Array<_, Share> = map(bench, "fr_shares").try_into().expect("an array");
        shares.set(flow.charged, Share::default(), 0).expect("it is within bounds");
        let mut queue: Queue<_, QueuedFlow> = map(bench, "fr_flow_queue").try_into().expect("a queue");
        queue.pop(0).expect("each flow waits there");
    }
    // A first fragment, whatever the reader makes of it.
    if matches!(frame[12..14], [0x08, 0x00]) && frame[20] & 0x20 != 0 || frame[12..14] == [0x86, 0xdd] {
        let mut fragments = hash::<FragmentKey, Fragment>(bench, "fr_fragments");
        let keys: Vec<_> = fragments.keys().map(|key| key.expect("the map is readable")).collect();
        keys.iter().for_each(|key| fragments.remove(key).expect("it is there"));
    }
}

fn map<'a>(bench: &'a mut Bench, name: &str) -> &'a mut Map {
    bench.ebpf().map_mut(name).expect("the object has it")
}

fn hash<'a, K: aya::Pod, V: aya::Pod>(bench: &'a mut Bench, name: &str) -> HashMap<&'a mut MapData, K, V> {
    map(bench, name).try_into().expect("a hash")
}

fn class_of(reading: Option<&Reading>) -> String {
    reading.map_or_else(
        || "none".into(),
        |packet| {
            let protocol = if [1, 6, 17, 58, 132].contains(&packet.protocol) { packet.protocol } else { 0 };
            let fragment = u8::from(packet.later_fragment) * 2 + u8::from(packet.first_fragment);
            format!("{} {protocol} {fragment} {} {}", packet.v4, packet.extensions.min(3), packet.ports.is_some())
        },
    )
}
