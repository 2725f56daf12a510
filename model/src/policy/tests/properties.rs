//! Random histories: every step leaves every endpoint's view of every peer as before or as after the event, established
//! flows are cut when and only when they shall be, and nothing is left behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use proptest::{
    prelude::*,
    sample::{select, subsequence},
};

use super::{
    cluster::{Ask, Cluster, change},
    maps::Maps,
};
use crate::{
    objects::Direction,
    policy::{
        CLOSED, Demand, Engine, Limits, Step,
        locals::{Full, Stuck},
        policies::DIRECTIONS,
    },
};

const ADDRESSES: [&str; 8] =
    ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.1.1", "192.0.2.1", "fd00::1", "fd00::2"];
const PEERS: [&str; 16] = [
    "x=1",
    "x=2",
    "x=1|2,y",
    "*",
    "!x",
    "*/*",
    "n=1/x=1",
    "n=1/*",
    "n!=1/*",
    "*/y=1",
    "@name=b/*",
    "10.0.0.0/24-10.0.0.2/31",
    "10.0.0.0/8-10.0.0.0/24",
    "10.0.0.2/31-10.0.0.3/32",
    "0.0.0.0/0-10.0.1.0/24-10.0.0.0/30",
    "::/0-fd00::2/128",
];
const PORTS: [&str; 8] = ["80/tcp", "80:90/tcp", "*/tcp", "53/udp", "web/tcp", "web/udp", "alt/tcp", "*/sctp"];
const ASKS: [Ask; 7] = [(6, 80), (6, 81), (6, 90), (6, 8080), (17, 53), (132, 7), (1, 0)];

fn pod() -> impl Strategy<Value = String> {
    let name = select(vec!["a/p1", "a/p2", "a/p3", "b/p1", "b/p2", "c/p1"]);
    let ips = subsequence(ADDRESSES.to_vec(), 0..3);
    let labels = subsequence(vec!["x=1", "x=2", "y=1", "y=2"], 0..3);
    let ports = subsequence(vec![":web=80/tcp", ":web=8080/tcp", ":alt=81/tcp", ":web=53/udp"], 0..3);
    let state = select(vec!["", "", "", "", "terminating", "ended", "host", "created 3", "uid:one", "uid:two"]);
    (name, ips, labels, ports, state).prop_map(|(name, ips, labels, ports, state)| {
        let ips = if ips.is_empty() { "-".to_owned() } else { ips.join(",") };
        format!("pod {name} {ips} {} {} {state}", labels.join(" "), ports.join(" "))
    })
}

fn rule() -> impl Strategy<Value = String> {
    let peers = subsequence(PEERS.to_vec(), 0..4);
    let ports = subsequence(PORTS.to_vec(), 0..4);
    let or_all = |list: Vec<&str>, by: &str| if list.is_empty() { "all".to_owned() } else { list.join(by) };
    let rule = (select(vec!["in", "out"]), peers, ports);
    prop_oneof![
        6 => rule.prop_map(move |(way, peers, ports)| format!("{way} {} on {}", or_all(peers, ";"), or_all(ports, ","))),
        1 => select(vec!["in none".to_owned(), "out none".to_owned()]),
    ]
}

fn policy() -> impl Strategy<Value = String> {
    let name = select(vec!["a/p", "a/q", "a/r", "b/p"]);
    let pods = select(vec!["*", "x=1", "x", "y=1", "!y"]);
    (name, pods, prop::collection::vec(rule(), 1..4))
        .prop_map(|(name, pods, rules)| format!("policy {name} {pods} | {}", rules.join(" | ")))
}

fn lease() -> impl Strategy<Value = String> {
    let pod = select(vec!["a/p1", "a/p2", "b/p1", "-", "a/p1 one"]);
    (1..5_u32, subsequence(ADDRESSES.to_vec(), 1..3), pod)
        .prop_map(|(index, ips, pod)| format!("lease {index} {} {pod}", ips.join(",")))
}

fn event() -> impl Strategy<Value = String> {
    let namespaces = vec!["ns a n=1", "ns a n=2", "ns b n=1", "ns b", "ns c n=1", "-ns a", "-ns b", "-ns c"];
    let gone = vec!["-pod a/p1", "-pod a/p2", "-pod b/p1", "-policy a/p", "-policy a/q", "-policy a/r", "-policy b/p"];
    let leases = vec!["-lease 1", "-lease 2", "-lease 3", "-lease 4"];
    prop_oneof![
        6 => pod(),
        6 => policy(),
        3 => lease(),
        2 => select(namespaces).prop_map(str::to_owned),
        2 => select(gone).prop_map(str::to_owned),
        1 => select(leases).prop_map(str::to_owned),
        3 => Just("retire".to_owned()),
    ]
}

fn demand(most: usize) -> impl Strategy<Value = Demand> {
    (0..most, 0..most, 0..most).prop_map(|(keys, prefixes, selectors)| Demand { keys, prefixes, selectors })
}

/// Two endpoints never have one address.
fn is_sound(cluster: &Cluster) -> bool {
    let mut seen = BTreeSet::new();
    cluster.endpoints.values().flat_map(|one| &one.addresses).all(|address| seen.insert(*address))
}

type View = BTreeMap<(u32, Direction, IpAddr, Ask), bool>;

fn view(of: impl Fn(u32, Direction, IpAddr, Ask) -> bool) -> View {
    let mut view = View::new();
    for index in 1..5 {
        for direction in DIRECTIONS {
            for peer in ADDRESSES {
                let peer = peer.parse().unwrap();
                view.extend(ASKS.map(|ask| ((index, direction, peer, ask), of(index, direction, peer, ask))));
            }
        }
    }
    view
}

fn naive(cluster: &Cluster) -> View {
    view(|index, direction, peer, ask| cluster.allows(index, direction, peer, ask).unwrap_or(false))
}

/// A world that follows events, and checks each step.
struct World {
    engine: Engine,
    maps: Maps,
    cluster: Cluster,
    /// Before the event.
    previous: Cluster,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            engine: Engine::new(limits, 1, BTreeSet::new()),
            maps: Maps::default(),
            cluster: Cluster::default(),
            previous: Cluster::default(),
        }
    }

    fn run(&mut self, line: &str) {
        let before = naive(&self.cluster);
        let steps = if line == "retire" {
            self.engine.retire()
        } else {
            let change = change(line);
            let mut cluster = self.cluster.clone();
            cluster.take(&change);
            if !is_sound(&cluster) {
                return;
            }
            self.previous = std::mem::replace(&mut self.cluster, cluster);
            self.engine.apply([change])
        };
        self.follow(line, &before, &steps);
    }

    /// Whether an address is somebody else's, before and after: what a pod sends to itself is never judged.
    fn is_other(&self, index: u32, peer: IpAddr) -> bool {
        [&self.previous, &self.cluster].into_iter().all(|cluster| {
            let Some(one) = cluster.endpoints.get(&index) else { return true };
            let mut owners = cluster.endpoints.iter().filter(|(_, other)| other.addresses.contains(&peer));
            let pod = one.pod.as_ref().and_then(|name| cluster.objects.pods.get(name));
            let claims = pod.is_some_and(|pod| pod.ips.contains(&peer));
            !claims && owners.all(|(other, owner)| *other != index && (owner.pod.is_none() || owner.pod != one.pod))
        })
    }

    /// Executes steps and looks at every view after each; flows that were established under an older word are judged again.
    fn follow(&mut self, line: &str, before: &View, steps: &[Step]) {
        let after = naive(&self.cluster);
        let epoch = |maps: &Maps, index: u32| maps.words.get(&index).map(|(_, epoch)| *epoch);
        let started: BTreeMap<u32, Option<u64>> = (1..5).map(|index| (index, epoch(&self.maps, index))).collect();
        let mut flows: View = before.clone();
        let mut judged = started.clone();
        for step in steps {
            self.maps.apply(step);
            let now = view(|index, direction, peer, ask| self.maps.allows(index, direction, peer, ask));
            for (key, verdict) in now.iter().filter(|(key, _)| self.is_other(key.0, key.2)) {
                // An index that goes to another pod has no word in between.
                let none = !verdict && !self.maps.words.contains_key(&key.0);
                let allowed = none || [before[key], after[key]].contains(verdict);
                assert!(allowed, "{line}\n{step}\n{key:?} is {verdict}\n{steps:#?}\n{:#?}", self.maps);
                if epoch(&self.maps, key.0) != judged[&key.0] {
                    flows.insert(*key, *verdict);
                }
            }
            (1..5).for_each(|index| _ = judged.insert(index, epoch(&self.maps, index)));
        }
        let now = view(|index, direction, peer, ask| self.maps.allows(index, direction, peer, ask));
        for (key, verdict) in now.iter().filter(|(key, _)| self.is_other(key.0, key.2)) {
            assert_eq!(*verdict, after[key], "{line}\n{key:?} in the end\n{steps:#?}\n{:#?}", self.maps);
            let cut = before[key] && !flows[key];
            assert_eq!(cut, before[key] && !after[key], "{line}\n{key:?}: the established flow\n{steps:#?}");
        }
        assert_eq!(self.engine.summary().keys, self.maps.rules.len(), "{line}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_moment_is_as_before_or_as_after(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new(Limits::default());
        for line in &events {
            world.run(line);
        }
        let gone: Vec<String> = (1..5).map(|index| format!("-lease {index}")).chain(std::iter::repeat_n("retire".to_owned(), 5)).collect();
        gone.iter().for_each(|line| world.run(line));
        prop_assert!(world.engine.is_settled());
        let Maps { tables, rules, classes, blocks, words, .. } = &world.maps;
        let left = [tables.len(), rules.len(), classes.len(), blocks.len(), words.len()];
        prop_assert_eq!(left, [0; 5], "{:#?}", world.maps);
        prop_assert_eq!(world.engine.summary(), Default::default());
    }

    #[test]
    fn many_changes_at_once_end_like_one_after_another(events in prop::collection::vec(event(), 1..60)) {
        let mut cluster = Cluster::default();
        let mut changes = Vec::new();
        for line in events.iter().filter(|line| *line != "retire") {
            let change = change(line);
            let kept = cluster.clone();
            cluster.take(&change);
            if is_sound(&cluster) { changes.push(change) } else { cluster = kept }
        }
        let (mut engine, mut maps) = (Engine::new(Limits::default(), 1, BTreeSet::new()), Maps::default());
        engine.apply(changes).iter().for_each(|step| maps.apply(step));
        let wanted = naive(&cluster);
        for (key, verdict) in view(|index, direction, peer, ask| maps.allows(index, direction, peer, ask)) {
            let own = cluster.endpoints.get(&key.0).is_some_and(|one| one.addresses.contains(&key.2));
            prop_assert!(own || verdict == wanted[&key], "{:?} is {}", key, verdict);
        }
        prop_assert_eq!(engine.summary().keys, maps.rules.len());
    }

    #[test]
    fn limits_are_kept_and_what_does_not_fit_opens_nothing(
        events in prop::collection::vec(event(), 1..40),
        keys in 0..40_usize, tables in 0..6_u32, addresses in 3..10_usize, blocks in 0..6_usize,
        of_pod in demand(24), of_namespace in demand(40), modest in demand(8),
    ) {
        let limits = Limits { keys, tables, addresses, blocks, of_pod, of_namespace, modest };
        let mut world = World::new(limits);
        for line in events {
            if line == "retire" {
                world.engine.retire().iter().for_each(|step| world.maps.apply(step));
            } else {
                let change = change(&line);
                let kept = world.cluster.clone();
                world.cluster.take(&change);
                if !is_sound(&world.cluster) {
                    world.cluster = kept;
                    continue;
                }
                world.engine.apply([change]).iter().for_each(|step| world.maps.apply(step));
            }
            prop_assert!(world.maps.rules.len() <= keys && world.maps.tables.len() <= tables as usize);
            prop_assert!(world.maps.classes.len() <= addresses && world.maps.blocks.len() <= blocks);
            prop_assert_eq!(world.engine.summary().keys, world.maps.rules.len());
            let now = view(|index, direction, peer, ask| world.maps.allows(index, direction, peer, ask));
            let right = naive(&world.cluster);
            let left_out = !world.engine.left_out.is_empty();
            for (key, verdict) in now {
                let local = world.engine.locals.get(key.0);
                let at = usize::from(key.1 == Direction::Egress);
                let stuck = local.and_then(|local| local.stuck[at].as_ref());
                let table = local.and_then(|local| Some(local.tables?[at]));
                if let Some(stuck) = stuck {
                    prop_assert!(table.is_some_and(|table| table != 0), "{:?} should be isolated and is open", key);
                    prop_assert!(stuck.waits() || table == Some(CLOSED), "{:?} has more than its share", key);
                    prop_assert!(!verdict || table != Some(CLOSED), "{:?} is closed and open", key);
                }
                // One that waits for room and was isolated keeps what it had.
                if !world.is_other(key.0, key.2) || stuck.is_some() && table != Some(CLOSED) {
                    continue;
                }
                prop_assert!(!verdict || right[&key], "{:?} is open", key);
                prop_assert!(verdict == right[&key] || stuck.is_some() || left_out, "{:?} has no issue", key);
            }
        }
    }

    #[test]
    fn who_has_more_than_a_share_does_not_depend_on_what_came_first(
        events in prop::collection::vec(event(), 1..40), of_pod in demand(12), of_namespace in demand(20),
    ) {
        let limits = Limits { of_pod, of_namespace, ..Limits::default() };
        let mut world = World::new(limits);
        for line in events.iter().filter(|line| *line != "retire") {
            let change = change(line);
            let kept = world.cluster.clone();
            world.cluster.take(&change);
            if is_sound(&world.cluster) { drop(world.engine.apply([change])) } else { world.cluster = kept }
        }
        let mut anew = Engine::new(limits, 1, BTreeSet::new());
        anew.apply(world.cluster.changes());
        let refused = |engine: &Engine| -> Vec<(u32, [Option<Full>; 2])> {
            let full = |one: &Option<Stuck>| one.as_ref().map(|stuck| stuck.full).filter(|full| matches!(full, Full::Refused(_)));
            engine.locals.iter().map(|(index, local)| (index, [full(&local.stuck[0]), full(&local.stuck[1])])).collect()
        };
        prop_assert_eq!(refused(&world.engine), refused(&anew));
    }
}
