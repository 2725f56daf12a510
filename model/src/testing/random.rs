//! Random clusters, what happens to them, and packets among their addresses. The alphabets are tiny, so that labels,
//! ports and addresses collide.

use std::net::IpAddr;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    Cluster, Event,
    events::{cluster, event},
    universe::{anyone, local, outside},
};
use crate::oracle::{Packet, Traffic};

/// A cluster with what happens in it, in order.
#[derive(Debug, Clone)]
pub struct Case {
    /// As it is at first.
    pub cluster: Cluster,
    /// What happens.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The cluster changes.
    Event(Event),
    /// A packet is sent; by whom is for [`Cluster::sender`] to say at that moment.
    Packet(Packet),
}

/// The case of a seed: the same one each time.
///
/// # Panics
/// Never: the strategy filters nothing out.
#[must_use]
pub fn generate(seed: u64) -> Case {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    cases(40..160).new_tree(&mut runner).unwrap().current()
}

/// Random cases with so many steps.
pub fn cases(steps: std::ops::Range<usize>) -> impl Strategy<Value = Case> {
    (cluster(), prop::collection::vec(rough(), steps))
        .prop_map(|(cluster, rough)| Case { cluster, steps: resolve(rough) })
}

/// A step before it is known what it follows.
#[derive(Debug, Clone)]
enum Rough {
    Event(Box<Event>),
    Packet(Packet),
    /// The n-th packet from the end once more, by the other end if `back`.
    Again {
        nth: usize,
        back: bool,
        opens: bool,
    },
    /// An ICMP error about the n-th packet from the end, from its receiver or from a router.
    Error {
        nth: usize,
        router: Option<IpAddr>,
    },
}

fn rough() -> impl Strategy<Value = Rough> {
    prop_oneof![
        4 => event().prop_map(|event| Rough::Event(Box::new(event))),
        5 => fresh().prop_map(Rough::Packet),
        8 => (0..12_usize, any::<bool>(), prop::bool::weighted(0.3))
            .prop_map(|(nth, back, opens)| Rough::Again { nth, back, opens }),
        1 => (0..12_usize, prop::option::of(outside())).prop_map(|(nth, router)| Rough::Error { nth, router }),
    ]
}

fn resolve(rough: Vec<Rough>) -> Vec<Step> {
    let mut sent: Vec<Packet> = Vec::new();
    let mut steps = Vec::new();
    for (number, one) in rough.into_iter().enumerate() {
        let recent = |nth: usize| sent.iter().rev().nth(nth % sent.len().max(1)).cloned();
        let packet = match one {
            Rough::Event(event) => {
                steps.push(Step::Event(renumbered(*event, number)));
                continue;
            }
            Rough::Packet(packet) => Some(packet),
            Rough::Again { nth, back, opens } => recent(nth).map(|packet| again(packet, back, opens)),
            Rough::Error { nth, router } => recent(nth)
                .filter(|packet| !matches!(packet.traffic, Traffic::Error { .. }))
                .map(|about| error(about, router)),
        };
        if let Some(packet) = packet {
            if !matches!(packet.traffic, Traffic::Error { .. }) {
                sent.push(packet.clone());
            }
            steps.push(Step::Packet(packet));
        }
    }
    steps
}

/// Endpoint indices are not used twice.
fn renumbered(event: Event, number: usize) -> Event {
    match event {
        Event::Endpoint(mut endpoint) => {
            endpoint.index = 100 + u32::try_from(number).unwrap_or(0);
            Event::Endpoint(endpoint)
        }
        other => other,
    }
}

fn again(packet: Packet, back: bool, opens: bool) -> Packet {
    let turned = |a, b| if back { (b, a) } else { (a, b) };
    let (source, destination) = turned(packet.source, packet.destination);
    let port = |source_port, port| if back { (port, source_port) } else { (source_port, port) };
    let traffic = match packet.traffic {
        Traffic::Tcp { source_port: a, port: b, .. } => {
            let (source_port, port) = port(a, b);
            Traffic::Tcp { source_port, port, opens }
        }
        Traffic::Udp { source_port: a, port: b } => {
            let (source_port, port) = port(a, b);
            Traffic::Udp { source_port, port }
        }
        Traffic::Sctp { source_port: a, port: b } => {
            let (source_port, port) = port(a, b);
            Traffic::Sctp { source_port, port }
        }
        Traffic::Echo { identifier, reply } => Traffic::Echo { identifier, reply: reply != (back && !opens) },
        other @ (Traffic::Other(_) | Traffic::Error { .. }) => other,
    };
    Packet { source, destination, traffic }
}

fn error(about: Packet, router: Option<IpAddr>) -> Packet {
    let source = router.filter(|one| one.is_ipv4() == about.source.is_ipv4()).unwrap_or(about.destination);
    Packet { source, destination: about.source, traffic: Traffic::Error { about: Box::new(about) } }
}

/// A packet between a pod of this node and anyone. Source ports are few, too: flows meet.
fn fresh() -> impl Strategy<Value = Packet> {
    (any::<bool>(), any::<bool>(), traffic()).prop_flat_map(|(v6, leaves, traffic)| {
        (local(v6), anyone(v6), Just(traffic)).prop_map(move |(pod, other, traffic)| {
            let (source, destination) = if leaves { (pod, other) } else { (other, pod) };
            Packet { source, destination, traffic }
        })
    })
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let ports = || (prop::sample::select(vec![80, 81, 4000]), prop::sample::select(super::universe::PORTS.to_vec()));
    prop_oneof![
        5 => (ports(), prop::bool::weighted(0.8))
            .prop_map(|((source_port, port), opens)| Traffic::Tcp { source_port, port, opens }),
        3 => ports().prop_map(|(source_port, port)| Traffic::Udp { source_port, port }),
        1 => ports().prop_map(|(source_port, port)| Traffic::Sctp { source_port, port }),
        2 => (1..3_u16, prop::bool::weighted(0.2)).prop_map(|(identifier, reply)| Traffic::Echo { identifier, reply }),
        1 => prop::sample::select(vec![47_u8, 50]).prop_map(Traffic::Other),
    ]
}
