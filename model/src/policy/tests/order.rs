//! The steps themselves, in their order.

use std::collections::BTreeSet;

use super::cluster::{change, changes};
use crate::policy::{Engine, Limits, Step};

/// The engine after `before`, all of it retired; then the steps of each line of `events` (`retire` is one, too).
fn check(before: &str, events: &[&str], expected: &[&str]) {
    let mut engine = Engine::new(Limits::default(), 1, BTreeSet::new());
    engine.apply(changes(before));
    (0..3).for_each(|_| drop(engine.retire()));
    let mut steps: Vec<Step> = Vec::new();
    for event in events {
        steps.extend(if *event == "retire" { engine.retire() } else { engine.apply([change(event)]) });
    }
    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, expected, "{engine:#?}");
}

const PODS: &str = "
    pod a/web 10.0.0.1 app=web
    pod a/db 10.0.0.2 app=db
    pod a/x 10.0.0.3 app=x
    lease 1 10.0.0.1 a/web
    lease 2 10.0.0.2 a/db
";

fn with(policies: &str, events: &[&str], expected: &[&str]) {
    check(&format!("{PODS}\n{policies}"), events, expected);
}

#[test]
fn nothing_is_known_of_peers_while_nothing_is_isolated() {
    with("", &["pod a/y 10.0.0.4 app=y", "policy a/p app=nobody | in none"], &[]);
    with("", &["lease 3 10.0.0.9 -"], &["store endpoint 3: tables 0 0"]);
}

#[test]
fn the_first_table_makes_all_peers_known_before_a_word_names_it() {
    with(
        "",
        &["policy a/p app=web | in app=db on 80/tcp"],
        &[
            "table 1: uses 0x210000",
            "insert table 1 class 2 protocol 6 port 80/16 rule 1",
            "pod 10.0.0.1: class 1",
            "pod 10.0.0.2: class 2",
            "pod 10.0.0.3: class 1",
            "store endpoint 1: tables 1 0",
        ],
    );
}

#[test]
fn with_the_last_table_all_is_forgotten_after_two_graces() {
    with(
        "policy a/p app=web | in app=db on 80/tcp",
        &["-policy a/p", "retire", "retire"],
        &[
            "store endpoint 1: tables 0 0",
            "table 1: clear",
            "remove table 1 class 2 protocol 6 port 80/16",
            "pod 10.0.0.2: class 1",
            "address 10.0.0.1: remove",
            "address 10.0.0.2: remove",
            "address 10.0.0.3: remove",
        ],
    );
}

#[test]
fn a_class_that_splits_has_its_keys_in_live_tables_before_a_peer_has_it() {
    with(
        "policy a/p app=web | in * on 80/tcp",
        &["policy a/q app=db | in app=x on all"],
        &[
            "insert table 1 class 3 protocol 6 port 80/16 rule 1",
            "table 2: uses 0x300000",
            "insert table 2 class 3 protocol 0 port 0/0 rule 2",
            "pod 10.0.0.3: class 3",
            "store endpoint 2: tables 2 0",
        ],
    );
}

#[test]
fn a_peer_that_changes_sides_gets_its_class_and_then_those_that_can_tell_a_new_epoch() {
    with(
        "policy a/p app=web | in app=x on 80/tcp\npolicy a/q app=db | in app=y on 80/tcp",
        &["pod a/x 10.0.0.3 app=z"],
        &["pod 10.0.0.3: class 1", "store endpoint 1: tables 1 0"],
    );
    with("policy a/p app=web | in app=x on 80/tcp", &["pod a/x 10.0.0.3 app=x tier=back"], &[]);
}

#[test]
fn an_address_that_becomes_a_pods_or_is_none_any_more_gives_a_new_epoch_to_those_that_tell_pods() {
    with(
        "policy a/p app=web | in */* on 80/tcp\npolicy a/q app=db | in 10.9.0.0/16 on 80/tcp",
        &["pod a/y 10.0.0.9 app=y", "-pod a/y"],
        &[
            "pod 10.0.0.9: class 1",
            "store endpoint 1: tables 1 0",
            "address 10.0.0.9: remove",
            "store endpoint 1: tables 1 0",
        ],
    );
}

#[test]
fn a_peer_that_is_gone_is_removed_before_the_epochs() {
    with(
        "policy a/p app=web | in app=x on 80/tcp",
        &["-pod a/x"],
        &["address 10.0.0.3: remove", "store endpoint 1: tables 1 0"],
    );
}

#[test]
fn a_changed_policy_is_built_beside_the_old_one_and_its_number_rests() {
    with(
        "policy a/p app=web | in app=x on 80/tcp",
        &["policy a/p app=web | in app=x on 81/tcp", "retire", "retire", "policy a/p app=web | in none", "retire"],
        &[
            "table 2: uses 0x210000",
            "insert table 2 class 2 protocol 6 port 81/16 rule 1",
            "store endpoint 1: tables 2 0",
            "table 1: clear",
            "remove table 1 class 2 protocol 6 port 80/16",
            "store endpoint 1: tables 16383 0",
        ],
    );
}

#[test]
fn a_target_whose_named_port_gets_another_number_gets_another_table() {
    with(
        "policy a/p app=web | in app=x on http/tcp",
        &["pod a/web 10.0.0.1 app=web :http=80/tcp", "pod a/web 10.0.0.1 app=web :http=8080/tcp"],
        &[
            "table 2: uses 0x210000",
            "insert table 2 class 2 protocol 6 port 80/16 rule 1",
            "pod 10.0.0.3: class 2",
            "store endpoint 1: tables 2 0",
            "table 3: uses 0x210000",
            "insert table 3 class 2 protocol 6 port 8080/16 rule 1",
            "store endpoint 1: tables 3 0",
        ],
    );
}

#[test]
fn endpoints_with_the_same_result_share_a_table() {
    with(
        "",
        &["policy a/p app=web|db | in all on 80/tcp"],
        &[
            "table 1: uses 0x810000",
            "insert table 1 class 0 protocol 6 port 80/16 rule 1",
            "pod 10.0.0.1: class 1",
            "pod 10.0.0.2: class 1",
            "pod 10.0.0.3: class 1",
            "store endpoint 1: tables 1 0, endpoint 2: tables 1 0",
        ],
    );
}

#[test]
fn isolation_without_rules_takes_no_room_and_tells_nobody_apart() {
    with("", &["policy a/p app=web|db | in none"], &["store endpoint 1: tables 16383 0, endpoint 2: tables 16383 0"]);
}

#[test]
fn longer_prefixes_come_first() {
    with(
        "policy a/p app=web | in all on 80/tcp",
        &["policy a/q app=web | in 10.8.0.0/16-10.8.1.0/24 on all"],
        &[
            "table 2: uses 0xb10000",
            "insert table 2 class 0 protocol 6 port 80/16 rule 1, table 2 class 2 protocol 0 port 0/0 rule 2",
            "block 10.8.1.0/24: class 0",
            "block 10.8.0.0/16: class 2",
            "store endpoint 1: tables 2 0",
        ],
    );
}

#[test]
fn what_does_not_fit_leaves_what_isolated_and_closes_what_did_not() {
    let limits = Limits { keys: 2, ..Limits::default() };
    let mut engine = Engine::new(limits, 1, BTreeSet::new());
    engine.apply(changes(&format!("{PODS}\npolicy a/p app=web | in app=x on 80/tcp")));
    assert_eq!(engine.apply([change("policy a/p app=web | in app=x on 80/tcp,81/tcp")]), []);
    let steps = engine.apply([change("policy a/q app=db | in app=x on 1/tcp,2/tcp")]);
    let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["store endpoint 2: tables 16383 0"]);
    let issues: Vec<String> = engine.issues().iter().map(ToString::to_string).collect();
    let full = |pod, policy, still| {
        format!(
            "Pod {pod}: policies' spec.ingress: the rules of the policies that select it, NetworkPolicy {policy} the \
             largest, do not fit into the policy map with its 2 entries; {still}; let the rules name fewer ports and peers"
        )
    };
    let (before, nothing) = ("what was in force before stays", "nothing passes in this direction");
    assert_eq!(issues, [full("a/web", "a/p", before), full("a/db", "a/q", nothing)]);
    let steps: Vec<String> = engine.apply([change("lease 3 10.0.0.3 a/x")]).iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["store endpoint 3: tables 0 0"]);
}
