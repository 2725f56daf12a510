//! Who gets room where namespaces ask for more than there is, and that nobody else's asking takes it away.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{LIMITS, text::objects};
use crate::service::{Applied, Engine, Found, Limits};

/// A hundred entries for ports and addresses, of which a namespace has at most 25, and the cluster's own 6 each.
const SHARED: Limits = Limits { frontends: 100, parts: 4, kept: 16, ..LIMITS };

/// A Service with as many ports; its address is its own.
fn service(name: &str, ports: usize, created: usize) -> String {
    let ports: String = (1..=ports).map(|port| format!(" {port}/tcp")).collect();
    let number = name.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let [_, a, b, c] = number.to_be_bytes();
    format!("service {name} 10.{a}.{b}.{c}{ports} created:{created}\n")
}

fn begun(limits: Limits, text: &str) -> Engine {
    let (mut engine, _) = Engine::new(limits, "a", &Found::default());
    engine.begin(&objects(text));
    engine
}

/// How many ports each namespace has in force.
fn in_force(engine: &Engine) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for frontend in engine.expected().ports.keys() {
        let owner = engine.service_at(&frontend.address).unwrap();
        *found.entry(owner.namespace.to_string()).or_default() += 1;
    }
    found
}

#[track_caller]
fn check(engine: &Engine, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(name, ports)| ((*name).to_owned(), *ports)).collect();
    assert_eq!(in_force(engine), expected);
}

/// A namespace that asks for everything there is, many times over.
fn greedy(namespace: &str) -> String {
    (0..10).map(|number| service(&format!("{namespace}/s{number}"), 10, number)).collect()
}

#[test]
fn a_namespace_that_asks_for_everything_has_its_share() {
    let (mut engine, _) = Engine::new(SHARED, "a", &Found::default());
    engine.begin(&objects(&greedy("g")));
    // Ten addresses and one Service's ports: a second one's would be more than 25.
    check(&engine, &[("g", 10)]);
    assert_eq!(engine.expected().addresses.len(), 10);
    assert_eq!(engine.issues(true).len(), 9);
    // Who comes later has room all the same.
    engine.apply(&objects(&(greedy("g") + &service("late/s", 20, 99))));
    check(&engine, &[("g", 10), ("late", 20)]);
}

#[test]
fn many_that_ask_for_everything_leave_room_for_those_that_ask_for_little() {
    let hogs: String = (0..9).map(|number| greedy(&format!("g{number}"))).collect();
    let own = service("kube-system/dns", 4, 98) + &service("default/kubernetes", 4, 99);
    let engine = begun(SHARED, &(hogs.clone() + &own + &service("little/s", 3, 97)));
    let found = in_force(&engine);
    assert_eq!((found.get("kube-system"), found.get("default"), found.get("little")), (Some(&4), Some(&4), Some(&3)));
    let expected = engine.expected();
    assert!(expected.ports.len() + expected.addresses.len() <= 100);
    // They are there first, and the others come.
    let mut engine = begun(SHARED, &hogs);
    engine.apply(&objects(&(hogs + &own + &service("little/s", 3, 97))));
    assert_eq!(in_force(&engine), found);
}

#[test]
fn so_many_namespaces_that_none_gets_any_leave_the_clusters_own_its_part() {
    let hogs: String = (0..120).map(|number| service(&format!("g{number}/s"), 3, 1)).collect();
    let engine = begun(SHARED, &(hogs + &service("kube-system/dns", 5, 2) + &service("default/kubernetes", 1, 2)));
    check(&engine, &[("default", 1), ("kube-system", 5)]);
}

#[test]
fn a_port_with_too_many_endpoints_is_refused_with_its_service_alone() {
    let endpoints: String = (0..6).map(|number| format!(" 10.1.0.{number}")).collect();
    let text = format!("service w 10.96.0.1 80/tcp 81/tcp\nslice s w 80/tcp{endpoints}\nservice v 10.96.0.2 80/tcp\n");
    let engine = begun(Limits { of_one: 5, ..LIMITS }, &text);
    let issues: Vec<String> = engine.issues(true).iter().map(ToString::to_string).collect();
    assert_eq!(
        issues,
        [
            "Service n/w: spec.ports: a port has 6 endpoints of at most 5; all of its ports are refused; let it have fewer"
        ]
    );
    assert_eq!(engine.expected().ports.len(), 1);
}

#[test]
fn backends_and_members_have_shares_too() {
    let slice = |name: &str, count: usize, protocol: &str| {
        let pods: String = (0..count).map(|pod| format!(" 10.1.0.{pod}")).collect();
        format!("slice {name} s 80/{protocol}{pods}\n")
    };
    let text = |count: usize, protocol: &str| {
        format!("service g/s 10.96.0.1 80/{protocol}\n") + &slice("g/e", count, protocol)
    };
    // Of 400 half may be in force, and of that a quarter is a namespace's.
    let limits = Limits { backends: 400, members: 200, parts: 4, ..LIMITS };
    for (count, protocol, fits) in [(50, "tcp", true), (51, "tcp", false), (25, "udp", true), (26, "udp", false)] {
        let engine = begun(limits, &text(count, protocol));
        assert_eq!((engine.expected().sets.len(), engine.issues(true).len()), if fits { (1, 0) } else { (0, 1) });
    }
}

/// 13,000 ports with 12,000 endpoints each would be 156 million backends.
#[test]
fn what_multiplies_beyond_a_share_is_counted_and_never_made() {
    let ports: Vec<String> = (1..=13_000).map(|port| format!("{port}:p{port}/tcp")).collect();
    let pods: String = (0..12_000).map(|pod| format!(" {}", std::net::Ipv4Addr::from(0x0a00_0000 + pod))).collect();
    let text = format!("service w 10.96.0.1 {}\nslice s w {}{pods}\n", ports.join(" "), ports.join(","));
    let limits = Limits {
        frontends: 262_143,
        backends: 524_288,
        members: 262_144,
        of_one: 65_535,
        parts: 4,
        kept: 16,
        ..LIMITS
    };
    let engine = begun(limits, &text);
    assert_eq!((engine.expected().ports.len(), engine.issues(true)[0].reason.name()), (0, "ServiceShareFull"));
}

/// Carries a change and all that follows from it out, and never asks a map for more than it holds.
fn settle(engine: &mut Engine, found: &mut Found, mut applied: Applied, orphans: &mut Vec<u32>, limits: Limits) {
    loop {
        for step in &applied.steps {
            found.apply(step);
            let entries: usize = found.sets.values().map(|set| set.backends.len()).sum();
            assert!(entries <= limits.backends, "{step}: {entries}");
        }
        for set in &applied.superseded {
            found.sets.remove(&set.set);
            engine.release(set);
        }
        orphans.iter().for_each(|set| drop(found.sets.remove(set)));
        engine.forget(&orphans.drain(..).collect());
        if !engine.wants_again() {
            return;
        }
        applied = engine.apply(&engine.objects());
    }
}

#[test]
fn an_agent_that_starts_beside_full_maps_comes_to_what_it_wants() {
    let limits = Limits { backends: 40, kept: 0, ..LIMITS };
    let text = |pod: u8| -> String {
        let one =
            |n: u8| format!("service s{n} 10.96.0.{n} 80/tcp\nslice e{n} s{n} 80/tcp 10.1.{pod}.{n} 10.2.{pod}.{n}\n");
        (1..=10).map(one).collect()
    };
    let (mut engine, _) = Engine::new(limits, "a", &Found::default());
    let mut found = Found::default();
    let applied = engine.begin(&objects(&text(1)));
    settle(&mut engine, &mut found, applied, &mut Vec::new(), limits);
    // What a larger agent left: every place is taken, by sets that are named and by sets that are not.
    for named in [true, false] {
        let mut found = found.clone();
        for (number, frontend) in found.ports.keys().copied().collect::<Vec<_>>().into_iter().enumerate() {
            let port = found.ports.get_mut(&frontend).unwrap();
            let set = found.sets.get_mut(&port.set).unwrap();
            if named {
                set.backends = set.backends.iter().chain(&*set.backends.clone()).copied().collect();
                port.count = 4;
            } else {
                let set = crate::service::SetOf { set: 100 + u32::try_from(number).unwrap(), ..set.clone() };
                found.sets.insert(set.set, set);
            }
        }
        let (mut next, orphans) = Engine::new(limits, "a", &found);
        let mut orphans = orphans.iter().map(|set| set.set).collect();
        let applied = next.begin(&objects(&text(3)));
        settle(&mut next, &mut found, applied, &mut orphans, limits);
        assert_eq!(found, next.expected());
        assert!(next.issues(true).is_empty());
        assert!(found.sets.values().all(|set| set.backends.len() == 2), "named: {named}");
    }
}

#[test]
fn a_namespace_that_changes_without_end_delays_nobody_else() {
    let limits = Limits { backends: 800, parts: 4, kept: 16, ..LIMITS };
    let text = |round: usize| {
        let pods: String = (0..60).map(|pod| format!(" 10.1.{round}.{pod}")).collect();
        format!(
            "service g/s 10.96.0.1 80/tcp\nslice g/e s 80/tcp{pods}\n\
             service b/s 10.96.0.2 80/tcp\nslice b/e s 80/tcp 10.2.0.{round}\n"
        )
    };
    let mut engine = begun(limits, &text(0));
    let mut waited = 0;
    for round in 1..20 {
        engine.apply(&objects(&text(round)));
        let found = engine.expected();
        let led = found.ports.iter().find(|(one, _)| one.address.to_string() == "10.96.0.2").unwrap().1.set;
        assert_eq!(found.sets[&led].backends[0].address.to_string(), format!("10.2.0.{round}"));
        waited += engine.issues(true).len();
    }
    assert!(waited > 0, "nothing was held back");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]
    /// Services of several namespaces come and go in any order: what is in force is what an engine says that knows nothing
    /// but the last objects, no namespace has more than its share, and whoever asks for no more than all can have has it.
    #[test]
    fn what_is_in_force_depends_on_the_objects_alone(
        changes in prop::collection::vec((0..6_usize, 0..4_usize, 0..14_usize), 1..30),
    ) {
        let names = ["a", "b", "c", "d", "default", "kube-system"];
        let (mut engine, _) = Engine::new(SHARED, "a", &Found::default());
        let mut services = BTreeMap::new();
        let text = |services: &BTreeMap<String, usize>| -> String {
            services.iter().enumerate().map(|(at, (name, ports))| service(name, *ports, at)).collect()
        };
        engine.begin(&objects(""));
        for (namespace, number, ports) in changes {
            let name = format!("{}/s{number}", names[namespace]);
            if ports == 0 {
                services.remove(&name);
            } else {
                services.insert(name, ports);
            }
            engine.apply(&objects(&text(&services)));
            let fresh = begun(SHARED, &text(&services));
            prop_assert_eq!(in_force(&engine), in_force(&fresh));
            prop_assert_eq!(engine.expected().addresses, fresh.expected().addresses);
            let found = in_force(&engine);
            for name in names {
                let own = services.iter().filter(|(service, _)| service.starts_with(&format!("{name}/")));
                let (count, ports) = own.fold((0, 0), |(count, all), (_, ports)| (count + 1, all + ports));
                let has = found.get(name).copied().unwrap_or_default();
                prop_assert!(has + count <= 25);
                // A sixth of what is nobody's own is more than this.
                prop_assert!(ports + count > 14 || has == ports, "{name} has {has} of {ports}");
            }
        }
    }
}
