//! Random Services that come, change and go: the maps after each step are whole, and after each change what an
//! independent reading of the same objects says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::{
    LIMITS,
    reading::{Reading, read, stays},
    text::objects,
};
use crate::{
    objects::{Objects, Protocol, Service},
    service::{Applied, Backend, Engine, Found, Frontend, Limits, SetOf, Step},
};

/// Lines of objects, of which a snapshot has some.
fn snapshot() -> impl Strategy<Value = String> {
    let extras = prop::sample::subsequence(vec!["local", "same-zone", "same-node", "affinity:60", "proxy:x"], 0..=2);
    let ports = prop::sample::subsequence(vec!["80:a/tcp", "81:b/tcp", "53:a/udp", "7:a/sctp"], 0..=3);
    let ips = prop::sample::select(vec!["10.96.0.1", "10.96.0.2,fd01::1", "10.96.0.1,fd01::1", "fd01::2", "-"]);
    let service = (ips, ports, extras, 0..3_u8).prop_map(|(ip, ports, extras, created)| {
        format!("{ip} {} {} created:{created}", ports.join(" "), extras.join(" "))
    });
    let state = prop::sample::select(vec!["", "", "", "+unready", "+ending", "+ended"]);
    let place = prop::sample::select(vec!["", "+on=a+in=z1", "+on=b+in=z1", "+on=c+in=z2"]);
    let hints =
        prop::sample::select(vec!["", "", "+zones=z1", "+zones=z2|z1", "+zones=z1+nodes=a", "+zones=z2+nodes=b"]);
    let address = prop::sample::select(vec!["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "fd00::1", "fd00::2"]);
    let endpoint = (address, state, place, hints).prop_map(|(a, b, c, d)| format!("{a}{b}{c}{d}"));
    let slice_ports = prop::sample::select(vec!["80:a/tcp", "80:a/tcp,53:a/udp", "8080:b/tcp,-:a/tcp", "53:a/udp"]);
    let owner = prop::sample::select(vec!["s0", "s1", "s2", "-"]);
    let slice = (owner, slice_ports, prop::collection::vec(endpoint, 0..5))
        .prop_map(|(owner, ports, endpoints)| format!("{owner} {ports} {}", endpoints.join(" ")));
    let services = prop::collection::vec(prop::option::weighted(0.8, service), 3);
    let slices = prop::collection::vec(prop::option::weighted(0.8, slice), 4);
    let nodes = prop::collection::vec(
        prop::option::weighted(0.2, prop::sample::select(vec!["10.96.0.1", "fd01::1", "10.0.0.9"])),
        2,
    );
    (services, slices, nodes).prop_map(|(services, slices, nodes)| {
        let named = |kind: &'static str, letter: char, lines: Vec<Option<String>>| {
            let lines = lines.into_iter().enumerate().filter_map(|(at, line)| Some((at, line?)));
            lines.map(|(at, line)| format!("{kind} {letter}{at} {line}\n")).collect::<String>()
        };
        let nodes = nodes.into_iter().map(|ip| ip.map(str::to_owned)).collect();
        named("service", 's', services) + &named("slice", 'e', slices) + &named("node", 'n', nodes)
    })
}

/// What a program would find under every frontend.
fn seen(found: &Found) -> Reading {
    let of = |frontend: &Frontend| {
        let port = found.ports[frontend];
        if port.count == 0 {
            return (std::collections::BTreeSet::new(), port.affinity);
        }
        let set = found
            .sets
            .get(&port.set)
            .unwrap_or_else(|| panic!("{frontend} names set {}, which is not there", port.set));
        assert_eq!(set.backends.len(), port.count as usize, "{frontend}");
        assert!(set.members || port.affinity.is_none() && frontend.protocol != Protocol::Udp);
        (set.backends.iter().map(|one| (one.address, one.port)).collect(), port.affinity)
    };
    found.ports.keys().map(|frontend| (*frontend, of(frontend))).collect()
}

/// Carries the steps out one by one; each frontend leads where it led before or where it leads after.
fn carry_out(applied: &Applied, found: &mut Found, resting: &mut Vec<SetOf>) {
    let before = seen(found);
    let mut after = found.clone();
    applied.steps.iter().for_each(|step| after.apply(step));
    let after = seen(&after);
    for step in &applied.steps {
        found.apply(step);
        for (frontend, now) in seen(found) {
            let known = before.get(&frontend).into_iter().chain(after.get(&frontend)).any(|one| *one == now);
            assert!(known, "{frontend} leads to {now:?} after {step}");
        }
    }
    resting.extend(applied.superseded.iter().cloned());
}

fn check(snapshots: &[Arc<Objects>], restarts: &[bool], hinted: bool) {
    let made = |found: &Found| {
        let (mut engine, orphans) = Engine::new(LIMITS, "a", found);
        if !hinted {
            engine.follow_distribution();
        }
        (engine, orphans)
    };
    let mut found = Found::default();
    let (mut engine, mut resting) = made(&found);
    let mut begun = false;
    for (at, objects) in snapshots.iter().enumerate() {
        if restarts.get(at).copied().unwrap_or_default() {
            let (next, orphans) = made(&found);
            (engine, resting, begun) = (next, orphans, false);
        }
        let applied = if begun { engine.apply(objects) } else { engine.begin(objects) };
        begun = true;
        carry_out(&applied, &mut found, &mut resting);
        let (reading, addresses) = read(objects, "a", hinted);
        assert_eq!((seen(&found), &found.addresses), (reading, &addresses));
        if at % 2 == 1 {
            for set in resting.drain(..) {
                found.sets.remove(&set.set);
                engine.release(&set);
            }
            assert_eq!(found, engine.expected());
            let entries: usize = found.sets.values().map(|set| set.backends.len()).sum();
            assert_eq!(engine.summary().backends, entries);
        }
    }
}

/// The same objects where the text is the same, as a source shares them.
fn shared(texts: &[String]) -> Vec<Arc<Objects>> {
    let mut known: BTreeMap<&String, Arc<Objects>> = BTreeMap::new();
    texts.iter().map(|text| Arc::clone(known.entry(text).or_insert_with(|| objects(text)))).collect()
}

/// Entries that all Services ask for together, of ports and addresses.
fn asked(objects: &Objects) -> usize {
    let ours = objects.services.values().filter(|service| service.other_proxy.is_none());
    let of = |service: &Service| {
        let ports = service.ports.iter().filter(|port| port.protocol != Protocol::Sctp).count();
        service.cluster_ips.len() * (1 + ports)
    };
    ours.map(|service| of(service)).sum()
}

/// Whatever comes: the map of frontends and addresses never holds more than it can, it holds what the engine says, as soon
/// as all that is wanted fits all of it is there, and what is there depends on the objects alone.
fn check_full(snapshots: &[Arc<Objects>], limit: usize) {
    let (mut found, mut resting) = (Found::default(), Vec::new());
    let limits = Limits { frontends: limit, ..LIMITS };
    let (mut engine, _) = Engine::new(limits, "a", &found);
    for (at, objects) in snapshots.iter().enumerate() {
        let mut applied = if at == 0 { engine.begin(objects) } else { engine.apply(objects) };
        for step in &applied.steps {
            found.apply(step);
            assert!(found.ports.len() + found.addresses.len() <= limit, "{step}");
        }
        resting.append(&mut applied.superseded);
        for set in resting.drain(..) {
            found.sets.remove(&set.set);
            engine.release(&set);
        }
        assert_eq!(found, engine.expected());
        let refused = engine.issues(true).iter().any(|issue| issue.reason.name() == "ServiceShareFull");
        assert_eq!(refused, asked(objects) > limit);
        let (reading, addresses) = read(objects, "a", true);
        if !refused {
            assert_eq!((seen(&found), &found.addresses), (reading, &addresses));
        }
        let (mut other, _) = Engine::new(limits, "a", &Found::default());
        other.begin(objects);
        let expected = other.expected();
        assert_eq!((seen(&found), &found.addresses), (seen(&expected), &expected.addresses));
    }
}

/// What sockets may be led to while the maps hold this.
fn led(found: &Found, sockets: &mut BTreeSet<(Frontend, Backend)>) {
    for (frontend, port) in found.ports.iter().filter(|(frontend, _)| frontend.protocol == Protocol::Udp) {
        let set = found.sets.get(&port.set).filter(|_| port.count != 0);
        sockets.extend(set.into_iter().flat_map(|set| set.backends.iter()).map(|backend| (*frontend, *backend)));
    }
}

/// An agent that is killed after any step of any change, or within the write or the removal of a set: the next one brings the maps to what is wanted, tells of each
/// socket whose backend is gone, and of no other.
fn check_killed(snapshots: &[Arc<Objects>], hinted: bool) {
    let made = |found: &Found| {
        let (mut engine, orphans) = Engine::new(LIMITS, "a", found);
        if !hinted {
            engine.follow_distribution();
        }
        (engine, orphans)
    };
    let (mut found, mut sockets) = (Found::default(), BTreeSet::new());
    let mut engine = made(&found).0;
    for (at, objects) in snapshots.iter().enumerate() {
        let applied = if at == 0 { engine.begin(objects) } else { engine.apply(objects) };
        let steps = applied.steps.iter().cloned().chain(applied.superseded.iter().cloned().map(Step::RemoveSet));
        check_next(&mut made(&found), &found, objects, &sockets, hinted);
        for step in steps {
            if let Step::WriteSet(set) | Step::RemoveSet(set) = &step {
                let mut torn = found.clone();
                torn.apply(&Step::WriteSet(SetOf { backends: Arc::from([]), members: false, ..set.clone() }));
                check_next(&mut made(&torn), &torn, objects, &sockets, hinted);
            }
            found.apply(&step);
            led(&found, &mut sockets);
            check_next(&mut made(&found), &found, objects, &sockets, hinted);
        }
        applied.superseded.iter().for_each(|set| engine.release(set));
    }
}

/// An engine over maps that another one left, and what it tells of sockets.
fn check_next(
    (next, orphans): &mut (Engine, Vec<SetOf>),
    found: &Found,
    objects: &Arc<Objects>,
    sockets: &BTreeSet<(Frontend, Backend)>,
    hinted: bool,
) {
    let mut maps = found.clone();
    let mut applied = next.begin(objects);
    let (mut held, mut resting) = (sockets.clone(), std::mem::take(orphans));
    applied.steps.iter().for_each(|step| maps.apply(step));
    led(&maps, &mut held);
    let (reading, addresses) = read(objects, "a", hinted);
    assert_eq!((seen(&maps), &maps.addresses), (reading, &addresses));
    let serving = stays(objects, "a");
    let gone = held.iter().filter(|(frontend, one)| !serving.contains(&(*frontend, (one.address, one.port))));
    let told: BTreeSet<_> = next.left(held.iter().copied()).collect();
    assert_eq!(told, gone.copied().collect());
    resting.append(&mut applied.superseded);
    resting.iter().for_each(|set| _ = maps.sets.remove(&set.set));
    assert_eq!(maps, next.expected());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn the_maps_say_what_an_independent_reading_says(
        texts in prop::collection::vec(snapshot(), 1..6),
        restarts in prop::collection::vec(any::<bool>(), 6),
        hinted: bool,
    ) {
        check(&shared(&texts), &restarts, hinted);
    }
    #[test]
    fn an_agent_that_is_killed_between_two_steps_strands_no_socket(
        texts in prop::collection::vec(snapshot(), 1..5),
        hinted: bool,
    ) {
        check_killed(&shared(&texts), hinted);
    }
    #[test]
    fn no_map_is_asked_to_hold_more_than_it_can(
        texts in prop::collection::vec(snapshot(), 1..6),
        limit in 0..14_usize,
    ) {
        check_full(&shared(&texts), limit);
    }
}
