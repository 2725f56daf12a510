//! The order of the writes, and what is kept where they do not fit.

use super::{LIMITS, text::objects};
use crate::service::{Applied, Engine, Found, Limits};

fn begun(text: &str, limits: Limits) -> (Engine, Found) {
    let (mut engine, _) = Engine::new(limits, "a", &Found::default());
    let mut found = Found::default();
    let applied = engine.begin(&objects(text));
    applied.steps.iter().for_each(|step| found.apply(step));
    (engine, found)
}

fn shown(applied: &Applied) -> Vec<String> {
    let gone = applied.superseded.iter().map(|set| format!("later: set {} goes", set.set));
    let left = applied.left.iter().map(|(frontend, backend)| format!("left {frontend}: {}", backend.address));
    applied.steps.iter().map(ToString::to_string).chain(gone).chain(left).collect()
}

#[track_caller]
fn check(before: &str, after: &str, expected: &[&str]) {
    let (mut engine, _) = begun(before, LIMITS);
    let applied = engine.apply(&objects(after));
    assert_eq!(shown(&applied), expected, "{before} ⇒ {after}");
}

const WEB: &str = "service web 10.96.0.1 80/tcp\nslice s web 80/tcp 10.1.0.7";
const DNS: &str = "service dns 10.96.0.2 53/udp\nslice d dns 53/udp";

#[test]
fn what_did_not_change_costs_no_step() {
    check(WEB, WEB, &[]);
    check(WEB, &format!("{WEB} 10.1.0.8+unready"), &[]);
}

#[test]
fn a_new_set_is_whole_before_the_one_store_that_names_it() {
    check(
        WEB,
        &format!("{WEB} 10.1.0.8"),
        &["set 2: write 2 backends", "10.96.0.1:80 TCP: lead to set 2 with 2 backends", "later: set 1 goes"],
    );
}

#[test]
fn a_service_that_comes_is_served_before_its_other_ports_are_refused() {
    check(
        "",
        WEB,
        &[
            "set 1: write 1 backends",
            "10.96.0.1:80 TCP: lead to set 1 with 1 backends",
            "10.96.0.1: refuse other ports",
        ],
    );
}

#[test]
fn a_service_that_goes_is_refused_before_it_is_forgotten() {
    check(WEB, "", &["10.96.0.1:80 TCP: remove", "10.96.0.1: no Service's any more", "later: set 1 goes"]);
}

#[test]
fn the_last_backend_leaves_a_frontend_that_refuses() {
    check(
        WEB,
        &WEB.replace("10.1.0.7", "10.1.0.7+unready"),
        &["10.96.0.1:80 TCP: lead to set 0 with 0 backends", "later: set 1 goes"],
    );
}

#[test]
fn backends_of_udp_ports_that_leave_are_named() {
    check(
        &format!("{DNS} 10.1.0.7 10.1.0.8"),
        &format!("{DNS} 10.1.0.8 10.1.0.9"),
        &[
            "set 2: write 2 backends",
            "10.96.0.2:53 UDP: lead to set 2 with 2 backends",
            "later: set 1 goes",
            "left 10.96.0.2:53 UDP: 10.1.0.7",
        ],
    );
}

#[test]
fn an_endpoint_of_a_udp_port_leaves_when_it_serves_no_more_and_not_when_it_is_not_chosen() {
    let left = |service: &str, states: &[(&str, &[&str])]| {
        let text =
            |endpoints: &str| format!("{}{service}\nslice d dns 53/udp {endpoints}", DNS.split_once('\n').unwrap().0);
        let (mut engine, _) = begun(&text(states[0].0), LIMITS);
        for (endpoints, expected) in &states[1..] {
            let applied = engine.apply(&objects(&text(endpoints)));
            let left: Vec<String> = applied.left.iter().map(|(_, backend)| backend.address.to_string()).collect();
            assert_eq!(left, *expected, "{service} {endpoints}");
        }
    };
    let nobody: &[&str] = &[];
    let seven: &[&str] = &["10.1.0.7"];
    // It ends and serves, beside one that is ready and alone; then it is gone, or serves no more.
    let both = "10.1.0.7 10.1.0.8";
    left("", &[(both, nobody), ("10.1.0.7+ending 10.1.0.8", nobody), ("10.1.0.8", seven)]);
    left("", &[(both, nobody), ("10.1.0.7+ending 10.1.0.8", nobody), ("10.1.0.7+ended 10.1.0.8", seven)]);
    left("", &[(both, nobody), ("10.1.0.7+ending", &["10.1.0.8"]), ("", seven)]);
    left("", &[(both, nobody), ("10.1.0.8", seven), (both, nobody)]);
    left("", &[(both, nobody), ("10.1.0.7+unready 10.1.0.8", seven)]);
    // It is chosen no more, by hints, by what is preferred, by a policy.
    left("", &[(both, nobody), ("10.1.0.7+zones=z2 10.1.0.8+zones=z1", nobody), ("10.1.0.8+zones=z1", seven)]);
    let near = "10.1.0.7+nodes=b 10.1.0.8+nodes=a";
    left(" same-node", &[("10.1.0.7+nodes=b", nobody), (near, nobody), ("10.1.0.8+nodes=a", seven)]);
    left(" local", &[("10.1.0.7+on=a 10.1.0.8+on=b", nobody), ("10.1.0.7+on=a", &["10.1.0.8"])]);
    // An endpoint that a former agent's sockets may be at counts as well.
    let (_, found) = begun(&format!("{DNS} 10.1.0.7 10.1.0.8"), LIMITS);
    let (mut next, _) = Engine::new(LIMITS, "a", &found);
    let applied = next.begin(&objects(&format!("{DNS} 10.1.0.7+ending 10.1.0.9")));
    assert_eq!(shown(&applied).last().unwrap(), "left 10.96.0.2:53 UDP: 10.1.0.8");
}

#[test]
fn an_address_that_passes_to_another_service_leads_there_at_once() {
    check(
        "service young 10.96.0.1 80/tcp created:2
         service old 10.96.0.1 80/tcp created:1
         slice y young 80/tcp 10.1.0.7
         slice o old 80/tcp 10.1.0.8",
        "service young 10.96.0.1 80/tcp created:2
         slice y young 80/tcp 10.1.0.7
         slice o old 80/tcp 10.1.0.8",
        &["set 2: write 1 backends", "10.96.0.1:80 TCP: lead to set 2 with 1 backends", "later: set 1 goes"],
    );
}

#[test]
fn of_an_address_that_a_node_has_a_service_takes_its_own_ports_alone() {
    let (node, other) = ("node b 10.96.0.1", "node b 10.0.0.9");
    let with = |node: &str| format!("{WEB}\n{node}");
    let served = ["set 1: write 1 backends", "10.96.0.1:80 TCP: lead to set 1 with 1 backends"];
    check("", &with(node), &served);
    check(WEB, &with(node), &["10.96.0.1: no Service's any more"]);
    check(&with(node), &with(other), &["10.96.0.1: refuse other ports"]);
    check(&with(node), WEB, &["10.96.0.1: refuse other ports"]);
    // It passes to another node.
    check(&with(node), &with("node c 10.96.0.1"), &[]);
    let (engine, _) = begun(&with(&format!("service young 10.96.0.1 80/tcp created:9\n{node}")), LIMITS);
    let issues: Vec<String> = engine.issues(true).iter().map(|issue| issue.reason.name().to_owned()).collect();
    assert_eq!(issues, ["DuplicateClusterIP", "ClusterIPOfNode"]);
    let words = "Service n/web: spec.clusterIPs: 10.96.0.1 is also the InternalIP of Node b, which keeps all other ports; give the Service another address, or correct the Node";
    assert_eq!(engine.issues(true)[1].to_string(), words);
}

#[test]
fn an_agent_that_starts_keeps_what_is_as_it_should_be() {
    let (engine, found) = begun(WEB, LIMITS);
    assert_eq!(engine.expected(), found);
    let (mut next, orphans) = Engine::new(LIMITS, "a", &found);
    assert!(orphans.is_empty());
    assert_eq!(next.begin(&objects(WEB)), Applied::default());
    // Whatever was changed meanwhile follows, and what is nobody's goes.
    let (mut next, _) = Engine::new(LIMITS, "a", &found);
    let applied = next.begin(&objects(&format!("{DNS} 10.1.0.9")));
    assert_eq!(
        shown(&applied),
        [
            "10.96.0.1:80 TCP: remove",
            "10.96.0.1: no Service's any more",
            "set 2: write 1 backends",
            "10.96.0.2:53 UDP: lead to set 2 with 1 backends",
            "10.96.0.2: refuse other ports",
            "later: set 1 goes",
        ]
    );
}

#[test]
fn what_somebody_damaged_is_written_anew() {
    let (_, mut found) = begun(WEB, LIMITS);
    let set = found.sets.get_mut(&1).unwrap();
    set.backends = [].into();
    let (mut next, orphans) = Engine::new(LIMITS, "a", &found);
    assert_eq!(orphans.len(), 1);
    let applied = next.begin(&objects(WEB));
    assert_eq!(shown(&applied), ["set 2: write 1 backends", "10.96.0.1:80 TCP: lead to set 2 with 1 backends"]);
}

/// What is refused and what leads somewhere, and who has no room.
#[track_caller]
fn check_room(engine: &Engine, frontends: usize, addresses: usize, refused: &[&str]) {
    let expected = engine.expected();
    assert_eq!((expected.ports.len(), expected.addresses.len()), (frontends, addresses));
    let found: Vec<String> = engine.issues(true).iter().map(|issue| issue.service.to_string()).collect();
    assert_eq!(found, refused);
}

#[test]
fn a_service_without_room_for_all_of_its_ports_is_refused_whole() {
    let limits = Limits { frontends: 5, ..LIMITS };
    let three = "service three 10.96.0.3 1/tcp 2/tcp 3/tcp created:1";
    // Two addresses and a port are there; of three ports two would fit.
    for before in ["", WEB] {
        let (mut engine, _) = begun(before, limits);
        engine.apply(&objects(&format!("{WEB}\n{three}")));
        check_room(&engine, 1, 2, &["n/three"]);
    }
    let (mut engine, _) = begun(WEB, limits);
    let applied = engine.apply(&objects(&format!("{WEB}\n{three}")));
    assert_eq!(shown(&applied), ["10.96.0.3: refuse other ports"]);
    // One that grows too much keeps nothing that its objects do not say, and makes room for the others.
    let grown = WEB.replace(" 80/tcp\n", " 80/tcp 81/tcp 82/tcp 83/tcp\n");
    let applied = engine.apply(&objects(&format!("{grown}\nservice two 10.96.0.3 1/tcp 2/tcp created:1")));
    let expected = [
        "10.96.0.1:80 TCP: remove",
        "10.96.0.3:1 TCP: lead to set 0 with 0 backends",
        "10.96.0.3:2 TCP: lead to set 0 with 0 backends",
        "later: set 1 goes",
    ];
    assert_eq!(shown(&applied), expected);
    check_room(&engine, 2, 2, &["n/web"]);
    let issue = "Service n/web: spec.ports: the Services of namespace n need more than the 5 entries that it may have of the map fr_services; all ports of this one are refused, since older ones have room first; remove ports, endpoints or Services of this namespace";
    assert_eq!(engine.issues(true)[0].to_string(), issue);
}

#[test]
fn addresses_have_room_before_ports() {
    let text: String = (1..=4).map(|n| format!("service s{n} 10.96.0.{n} 80/tcp created:{n}\n")).collect();
    let (engine, _) = begun(&text, Limits { frontends: 6, ..LIMITS });
    check_room(&engine, 2, 4, &["n/s3", "n/s4"]);
    let (mut engine, _) = begun(&text, Limits { frontends: 3, ..LIMITS });
    check_room(&engine, 0, 3, &["n/s1", "n/s2", "n/s3", "n/s4"]);
    // An address that had no room has it as soon as another goes.
    engine.apply(&objects(&text.replace("service s1 10.96.0.1 80/tcp created:1", "")));
    check_room(&engine, 0, 3, &["n/s2", "n/s3", "n/s4"]);
}

#[test]
fn a_full_map_is_emptied_before_it_is_filled_and_who_was_refused_comes_in() {
    let limits = Limits { frontends: 2, ..LIMITS };
    let (mut engine, _) = begun("service a 10.96.0.1 80/tcp", limits);
    // Everything is another's in one change.
    let applied = engine.apply(&objects("service b 10.96.0.2 81/tcp"));
    assert_eq!(
        shown(&applied),
        [
            "10.96.0.1:80 TCP: remove",
            "10.96.0.1: no Service's any more",
            "10.96.0.2:81 TCP: lead to set 0 with 0 backends",
            "10.96.0.2: refuse other ports",
        ]
    );
    let waiting = "service c 10.96.0.3 82/tcp created:1";
    let both = objects(&format!("service b 10.96.0.2 81/tcp\n{waiting}"));
    engine.apply(&both);
    // Both addresses are known, and no port has room beside them.
    check_room(&engine, 0, 2, &["n/b", "n/c"]);
    assert!(!engine.wants_again());
    engine.apply(&objects(waiting));
    check_room(&engine, 1, 1, &[]);
}

#[test]
fn a_set_that_finds_no_room_beside_those_that_leave_waits_for_them() {
    let limits = Limits { backends: 4, ..LIMITS };
    let (mut engine, _) = begun(&format!("{WEB} 10.1.0.8"), limits);
    let changed = |last: u8| objects(&format!("{WEB} 10.1.0.{last}"));
    let first = engine.apply(&changed(9)).superseded;
    // Four are there, of which two are about to go.
    assert_eq!(engine.apply(&changed(10)), Applied::default());
    assert_eq!(engine.issues(true)[0].reason.name(), "ServiceMapFull");
    assert!(!engine.wants_again());
    first.iter().for_each(|set| engine.release(set));
    assert!(engine.wants_again());
    assert_eq!(shown(&engine.apply(&changed(10)))[0], "set 3: write 2 backends");
    assert!(engine.issues(true).is_empty());
}

#[test]
fn what_is_damaged_and_finds_no_room_goes() {
    let text = format!("{WEB}\n{DNS} 10.1.0.9");
    let (_, mut found) = begun(&text, LIMITS);
    found.sets.retain(|set, _| *set == 1);
    let full = found.sets.values_mut().next().unwrap();
    full.backends = (0..4).map(|_| full.backends[0]).collect();
    let (mut next, orphans) = Engine::new(Limits { backends: 4, ..LIMITS }, "a", &found);
    let applied = next.begin(&objects(&text));
    assert_eq!(shown(&applied), ["10.96.0.1:80 TCP: remove", "10.96.0.2:53 UDP: remove"]);
    next.forget(&orphans.iter().map(|set| set.set).collect());
    assert_eq!(next.apply(&objects(&text)).steps.len(), 4);
    assert!(next.issues(true).is_empty());
}
