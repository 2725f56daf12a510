//! Policies that ask for more than anything has room for: what compiling them takes is counted, in bytes and allocations,
//! whatever the machine's speed.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use ferrule_model::{
    objects::{
        ContainerPort, Direction, IpBlock, NetworkPolicy, ObjectName, Phase, Pod, PolicyPeer, PolicyPort, PolicyRule,
        PortMatch, Protocol,
    },
    policy::{CLOSED, Change, Endpoint, Engine, Limits, excess},
    selector::{Requirement, Selector, Test},
};

/// Counts what this thread holds, at most held, and how often it asked.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    MOST.set(MOST.get().max(held));
    ASKED.set(ASKED.get() + usize::from(bytes > 0));
}

// SAFETY: the system's allocator does all of it; counting touches no memory of the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that were held beyond what was held before, and the number of allocations.
fn cost<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let (before, asked) = (HELD.get(), ASKED.get());
    MOST.set(before);
    let made = work();
    (made, (MOST.get() - before).cast_unsigned(), ASKED.get() - asked)
}

const NAMES: [&str; 2] = ["tenant", "other"];

fn pod(namespace: &str, number: u8) -> (ObjectName, Arc<Pod>, IpAddr) {
    let (name, ip) = (ObjectName::new(namespace, format!("p{number}")), Ipv4Addr::new(10, 0, 0, number).into());
    let pod = Pod {
        name: name.clone(),
        uid: String::new(),
        labels: [("app", "web")].into_iter().collect(),
        created: 0,
        static_uid: None,
        announced: false,
        terminating: false,
        node: Some("n".into()),
        host_network: false,
        phase: Phase::Running,
        ips: vec![ip],
        ports: vec![ContainerPort { name: "p0".into(), port: 80, protocol: Protocol::Tcp }],
    };
    (name, pod.into(), ip)
}

/// A node with a pod of each namespace, 1 and 2.
fn node(limits: Limits) -> Engine {
    let mut engine = Engine::new(limits, 1, BTreeSet::new());
    for (namespace, index) in NAMES.into_iter().zip(1_u8..) {
        let (name, pod, ip) = pod(namespace, index);
        let endpoint = Endpoint { addresses: vec![ip], pod: Some(name.clone()), uid: None };
        engine.apply([Change::Pod(name, Some(pod)), Change::Endpoint(index.into(), Some(endpoint))]);
    }
    engine
}

fn policy(namespace: &str, direction: Direction, rules: Vec<PolicyRule>) -> NetworkPolicy {
    let mut policy = NetworkPolicy {
        name: ObjectName::new(namespace, "p"),
        pod_selector: Selector::new(vec![]),
        isolates: vec![direction],
        ingress: vec![],
        egress: vec![],
    };
    match direction {
        Direction::Ingress => policy.ingress = rules,
        Direction::Egress => policy.egress = rules,
    }
    policy
}

fn apply(engine: &mut Engine, policy: NetworkPolicy) {
    engine.apply([Change::Policy(policy.name.clone(), Some(policy.into()))]);
}

fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0b00_0000 + number).into()
}

fn cidr(number: u32) -> PolicyPeer {
    let cidr = ipnetwork::IpNetwork::new(address(number), 32).unwrap();
    PolicyPeer::Block(IpBlock { cidr, except: vec![] })
}

fn all_but(number: u32) -> PolicyPeer {
    let except = vec![ipnetwork::IpNetwork::new(address(number), 32).unwrap()];
    PolicyPeer::Block(IpBlock { cidr: "0.0.0.0/0".parse().unwrap(), except })
}

fn labelled(number: u32) -> PolicyPeer {
    let requirement = Requirement { key: format!("k{number}"), test: Test::DoesNotExist };
    PolicyPeer::Pods { namespaces: Some(Selector::new(vec![])), pods: Selector::new(vec![requirement]) }
}

fn port(number: u32) -> PolicyPort {
    let number = u16::try_from(2 * number + 1).unwrap();
    PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Range(number, number) }
}

fn named(number: u32) -> PolicyPort {
    PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Named(format!("p{number}")) }
}

type Hostile = (&'static str, Direction, fn(u32) -> Vec<PolicyRule>);

fn list<T>(n: u32, one: fn(u32) -> T) -> Vec<T> {
    (0..n).map(one).collect()
}

/// What an object of the size that the API server takes can say, for a number of entries.
const HOSTILE: [Hostile; 7] = [
    ("CIDRs × ports", Direction::Ingress, |n| vec![PolicyRule { peers: list(n, cidr), ports: list(n, port) }]),
    ("all but one", Direction::Ingress, |n| vec![PolicyRule { peers: list(n, all_but), ports: vec![] }]),
    ("selectors", Direction::Ingress, |n| vec![PolicyRule { peers: list(n, labelled), ports: vec![] }]),
    ("selectors × names", Direction::Egress, |n| vec![PolicyRule { peers: list(n, labelled), ports: list(n, named) }]),
    ("names", Direction::Ingress, |n| vec![PolicyRule { peers: list(n, labelled), ports: list(n, named) }]),
    ("rules", Direction::Egress, |n| {
        list(n, |one| PolicyRule { peers: vec![cidr(one)], ports: (0..8).map(port).collect() })
    }),
    ("empty rules", Direction::Ingress, |n| {
        list(8 * n, |one| PolicyRule { peers: vec![cidr(one)], ports: vec![named(1)] })
    }),
];

const N: u32 = 12_000;
/// What counting a policy may take for each of its rules, peers and ports: bytes at most held, and allocations.
const FOR_EACH: (usize, usize) = (600, 10);

#[test]
fn what_asks_for_too_much_costs_what_its_own_size_does() {
    for (what, direction, rules) in HOSTILE {
        let rules = rules(N);
        let entries: usize = rules.iter().map(|rule| 1 + rule.peers.len() + rule.ports.len()).sum();
        let hostile = policy("tenant", direction, rules);
        assert!(excess(&hostile).is_some(), "{what}");
        let mut engine = node(Limits::default());
        let ((), bytes, asked) = cost(|| apply(&mut engine, hostile));
        eprintln!("{what}: {} bytes and {} allocations for each entry", bytes / entries, asked / entries);
        assert!(
            bytes < FOR_EACH.0 * entries && asked < FOR_EACH.1 * entries,
            "{what}: {bytes} bytes, {asked} allocations"
        );
        let summary = engine.summary();
        assert_eq!([summary.keys, summary.terms, summary.blocks, summary.tables], [0; 4], "{what}");
        let tables = engine.endpoint(1).and_then(|found| found.tables).unwrap();
        let expected = if direction == Direction::Ingress { [CLOSED, 0] } else { [0, CLOSED] };
        assert_eq!(tables, expected, "{what}: {:?}", engine.issues());
        assert_eq!(engine.issues().len(), 1, "{what}");
        assert!(engine.is_settled(), "{what} is tried again and again");
        // Others notice nothing.
        apply(
            &mut engine,
            policy("other", Direction::Ingress, vec![PolicyRule { peers: vec![cidr(1)], ports: vec![] }]),
        );
        let other = engine.endpoint(2).and_then(|found| found.tables).unwrap();
        assert!(other[0] != 0 && other[0] != CLOSED, "{what}: {other:?}");
    }
}

#[test]
fn twice_the_entries_cost_twice() {
    for (what, direction, rules) in HOSTILE {
        let measured = [N / 2, N].map(|n| {
            let hostile = policy("tenant", direction, rules(n));
            let mut engine = node(Limits::default());
            let ((), bytes, asked) = cost(|| apply(&mut engine, hostile));
            (bytes, asked)
        });
        let [(bytes, asked), (more, oftener)] = measured;
        assert!(more <= 3 * bytes && oftener <= 3 * asked, "{what}: {measured:?}");
    }
}

/// As much as one namespace may have, of what multiplies most: the agent's share of memory for it.
const OF_A_NAMESPACE: usize = 64 << 20;

#[test]
fn as_much_as_a_namespace_may_have_fits_in_the_agents_memory() {
    let shares: [(&str, Vec<PolicyRule>); 4] = [
        ("CIDRs × ports", vec![PolicyRule { peers: list(4_096, cidr), ports: list(8, port) }]),
        ("all but one", vec![PolicyRule { peers: list(180, all_but), ports: vec![] }]),
        ("selectors", vec![PolicyRule { peers: list(1_024, labelled), ports: list(32, port) }]),
        ("ports", vec![PolicyRule { peers: vec![], ports: list(32_000, port) }]),
    ];
    for (what, rules) in shares {
        let large = policy("tenant", Direction::Ingress, rules);
        assert_eq!(excess(&large), None, "{what}");
        let mut engine = node(Limits::default());
        let ((), bytes, _) = cost(|| apply(&mut engine, large));
        assert!(bytes < OF_A_NAMESPACE, "{what}: {bytes} bytes");
        let tables = engine.endpoint(1).and_then(|found| found.tables).unwrap();
        assert!(tables[0] != 0 && tables[0] != CLOSED, "{what}: {:?}", engine.issues());
    }
}
