//! Shares and what happens at their ends: who asks for too much is closed, and nobody else is.

use std::collections::BTreeSet;

use super::{
    cluster::{change, changes},
    maps::Maps,
};
use crate::policy::{CLOSED, Demand, Engine, Limits, Step};

/// A pod of a greedy namespace, one of a large one, one of a small one.
const PODS: &str = "
    pod greedy/a 10.0.0.1 app=a
    pod large/a 10.0.0.2 app=a
    pod small/a 10.0.0.3 app=a
    lease 1 10.0.0.1 greedy/a
    lease 2 10.0.0.2 large/a
    lease 3 10.0.0.3 small/a
";

/// An engine, and the maps as its steps left them.
struct Node {
    engine: Engine,
    maps: Maps,
}

impl Node {
    fn new(limits: Limits) -> Self {
        let mut node = Self { engine: Engine::new(limits, 1, BTreeSet::new()), maps: Maps::default() };
        let steps = node.engine.apply(changes(PODS));
        node.carry_out(&steps);
        node
    }

    fn does(&mut self, line: &str) -> usize {
        let steps = if line == "retire" { self.engine.retire() } else { self.engine.apply([change(line)]) };
        self.carry_out(&steps);
        steps.len()
    }

    fn carry_out(&mut self, steps: &[Step]) {
        steps.iter().for_each(|step| self.maps.apply(step));
        assert_eq!(self.engine.summary().keys, self.maps.rules.len());
    }

    /// What an endpoint's ingress is.
    fn is(&self, index: u32) -> &'static str {
        match self.maps.words[&index].0.ingress {
            0 => "open",
            CLOSED => "closed",
            _ => "in force",
        }
    }

    fn all(&self) -> [&'static str; 3] {
        [1, 2, 3].map(|index| self.is(index))
    }

    fn reasons(&self) -> Vec<&'static str> {
        self.engine.issues().iter().map(|issue| issue.reason.name()).collect()
    }
}

/// A policy of a namespace that asks for so many ports of one peer.
fn ports(namespace: &str, name: &str, count: usize) -> String {
    let ports: Vec<String> = (0..count).map(|n| format!("{}/tcp", 2 * n + 1)).collect();
    format!("policy {namespace}/{name} * | in app=a on {}", ports.join(","))
}

fn keys(keys: usize) -> Demand {
    Demand { keys, prefixes: 100, selectors: 100 }
}

/// Room for a hundred keys; a pod may ask for 40, a namespace for 60; below 10 is modest.
fn limits() -> Limits {
    Limits { keys: 100, of_pod: keys(40), of_namespace: keys(60), modest: keys(10), ..Limits::default() }
}

#[test]
fn the_first_isolation_that_is_too_much_closes_that_direction_alone() {
    let mut node = Node::new(limits());
    node.does(&ports("greedy", "p", 41));
    assert_eq!(node.all(), ["closed", "open", "open"]);
    assert_eq!(node.maps.words[&1].0.egress, 0);
    assert_eq!(node.reasons(), ["PodPoliciesTooLarge"]);
    assert!(node.engine.issues()[0].to_string().contains("NetworkPolicy greedy/p"), "{:?}", node.engine.issues());
    node.does(&ports("greedy", "p", 40));
    assert_eq!((node.all(), node.reasons()), (["in force", "open", "open"], vec![]));
    // What is too much closes also whom a smaller one isolated, so that a restart changes nothing.
    node.does(&ports("greedy", "p", 41));
    assert_eq!(node.all(), ["closed", "open", "open"]);
}

#[test]
fn a_namespace_meets_its_own_limit_and_its_largest_loses() {
    let mut node = Node::new(Limits { keys: 10_000, ..limits() });
    let mut more = |line: &str| node.does(line);
    more("pod greedy/b 10.0.0.4 app=b");
    more("lease 4 10.0.0.4 greedy/b");
    more(&ports("greedy", "p", 35).replace('*', "app=b"));
    more(&ports("greedy", "q", 30).replace('*', "app=a"));
    more(&ports("small", "p", 5));
    assert_eq!((node.all(), node.is(4)), (["in force", "open", "in force"], "closed"));
    assert_eq!(node.reasons(), ["NamespacePoliciesTooLarge"]);
    node.does("-policy greedy/q");
    assert_eq!((node.all(), node.is(4)), (["open", "open", "in force"], "in force"));
}

#[test]
fn what_the_greedy_cannot_take_is_there_for_first_policies() {
    let mut node = Node::new(Limits { of_namespace: keys(90), of_pod: keys(90), ..limits() });
    node.does(&ports("greedy", "p", 75));
    assert_eq!(node.is(1), "in force");
    node.does(&ports("greedy", "p", 76));
    assert_eq!((node.is(1), node.reasons()), ("in force", vec!["PolicyMapFull"]), "the former table stays");
    node.does(&ports("small", "p", 10));
    assert_eq!(node.is(3), "in force");
}

#[test]
fn who_asks_for_most_gives_way_to_who_asks_for_less_in_whatever_order() {
    for order in [["greedy", "large"], ["large", "greedy"]] {
        let mut node = Node::new(Limits { of_namespace: keys(90), of_pod: keys(90), ..limits() });
        for namespace in order {
            node.does(&ports(namespace, "p", if namespace == "greedy" { 50 } else { 40 }));
        }
        assert_ne!([node.is(1), node.is(2)], ["open"; 2]);
        (0..16).for_each(|_| _ = node.does("retire"));
        assert_eq!((node.all(), node.reasons()), (["closed", "in force", "open"], vec!["PolicyMapFull"]), "{order:?}");
        assert!(node.engine.is_settled(), "{order:?}");
        node.does("-policy large/p");
        (0..64).for_each(|_| _ = node.does("retire"));
        assert_eq!((node.all(), node.reasons()), (["in force", "open", "open"], vec![]), "{order:?}");
    }
}

#[test]
fn what_did_not_fit_is_tried_again_only_when_room_was_made_and_after_growing_pauses() {
    let mut node = Node::new(Limits { of_namespace: keys(90), of_pod: keys(90), ..limits() });
    node.does(&ports("large", "p", 40));
    node.does(&ports("greedy", "p", 60));
    assert_eq!(node.all(), ["closed", "in force", "open"]);
    (0..8).for_each(|_| assert_eq!(node.does("retire"), 0));
    assert!(node.engine.is_settled());
    // Something goes again and again, never enough.
    let mut tries = 0;
    let serial = |node: &Node| node.engine.locals.get(1).and_then(|one| one.stuck[0].as_ref()).unwrap().again;
    for n in 0..32 {
        let before = serial(&node);
        node.does(&ports("small", "p", 1 + n % 2));
        (0..2).for_each(|_| _ = node.does("retire"));
        tries += usize::from(serial(&node) != before);
    }
    assert!((3..=6).contains(&tries), "{tries} tries in 64 rounds");
}

#[test]
fn who_changes_fast_waits_for_what_he_superseded_and_others_do_not() {
    let mut node = Node::new(Limits { keys: 10_000, ..limits() });
    for n in 0..20 {
        node.does(&ports("greedy", "p", 30 + n % 2));
        node.does(&ports("small", "p", 2 + n % 3));
        assert_eq!(node.all(), ["in force", "open", "in force"]);
        assert!(node.maps.rules.len() < 200, "{}", node.maps.rules.len());
    }
    assert!(!node.engine.is_settled());
    assert_eq!(node.reasons(), ["PoliciesChangeTooFast"]);
    (0..16).for_each(|_| _ = node.does("retire"));
    assert_eq!((node.reasons(), node.engine.is_settled()), (vec![], true));
}

#[test]
fn others_cidrs_that_multiply_a_small_policys_keys_give_way_to_it() {
    let limits = Limits { of_namespace: keys(90), of_pod: keys(90), ..limits() };
    let mut node = Node::new(limits);
    let cidrs: Vec<String> = (0..30).map(|n| format!("192.0.2.{n}/32")).collect();
    node.does(&format!("policy greedy/p * | in {} on 1/tcp", cidrs.join(";")));
    assert_eq!(node.is(1), "in force");
    // Four keys of its own, and as many for each of the other's prefixes.
    node.does("policy small/p * | in 0.0.0.0/0 on 1/tcp,3/tcp,5/tcp,7/tcp");
    assert_ne!(node.is(3), "open");
    (0..8).for_each(|_| _ = node.does("retire"));
    assert_eq!(node.all(), ["closed", "open", "in force"]);
}

#[test]
fn a_closed_direction_needs_no_room_at_all() {
    let nothing = Demand::default();
    let limits =
        Limits { keys: 0, tables: 0, addresses: 0, blocks: 0, of_pod: nothing, of_namespace: nothing, modest: nothing };
    let mut node = Node::new(limits);
    node.does(&ports("greedy", "p", 1));
    node.does("policy small/p * | in none");
    assert_eq!((node.all(), node.reasons()), (["closed", "open", "closed"], vec!["PodPoliciesTooLarge"]));
}
