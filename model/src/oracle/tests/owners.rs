//! Whose an address is, and who an endpoint is.

use super::{check, small};

/// `other` may get in by label, everyone of 10.1.9.0/24 by address.
const POLICY: &str = "
    policy default/p app=web isolates ingress
      ingress namespaces:team=red+pods:app=web
      ingress block:10.1.9.0/24
";

fn with(lines: &str, packets: &str) {
    check(&small(&format!("{lines}{POLICY}")), packets);
}

#[test]
fn addresses_of_pods_that_ended_match_nothing_but_blocks() {
    with(
        "pod other/ended b 10.1.1.9 app=web ended\n pod other/inside b 10.1.9.9 app=web ended",
        "
        other/far > default/web tcp/80: pass
        other/ended > default/web tcp/80: no ingress
        other/inside > default/web tcp/80: pass
        ",
    );
    with("pod other/here a 10.1.0.20 app=web ended", "other/here > default/web tcp/80: no ingress");
}

#[test]
fn pods_that_are_terminating_match_and_stay_isolated() {
    with(
        "pod other/leaving b 10.1.1.9 app=web terminating\n pod default/last a 10.1.0.20 app=web terminating",
        "
        other/leaving > default/web tcp/80: pass
        8.8.8.8 > default/last tcp/80: no ingress
        ",
    );
}

#[test]
fn a_pod_that_ended_stays_isolated_while_its_lease_lasts() {
    with("pod default/done a 10.1.0.20 app=web ended", "8.8.8.8 > default/done tcp/80: no ingress");
}

#[test]
fn an_endpoint_that_no_object_names_is_selected_by_nothing_and_a_peer_by_address() {
    with(
        "endpoint 20 10.1.0.20 default/unknown\n endpoint 21 10.1.0.21\n endpoint 22 10.1.9.22 other/unknown",
        "
        8.8.8.8 > 10.1.0.20 tcp/80: pass
        8.8.8.8 > 10.1.0.21 tcp/80: pass
        10.1.0.20 > default/web tcp/80: no ingress
        10.1.0.21 > default/web tcp/80: no ingress
        10.1.9.22 > default/web tcp/80: pass
        ",
    );
}

#[test]
fn an_object_of_another_uid_does_not_name_an_endpoint() {
    for (object, lease, named) in [("u1", "u1", true), ("u1", "u2", false), ("", "u1", true), ("u1", "", true)] {
        let lines = format!(
            "pod other/again a 10.1.0.20 app=web uid:{object} unleased
            endpoint 20 10.1.0.20 other/again {lease}
            pod default/again a 10.1.0.21 app=web uid:{object} unleased
            endpoint 21 10.1.0.21 default/again {lease}
            "
        );
        let (peer, subject) = if named { ("pass", "no ingress") } else { ("no ingress", "pass") };
        with(&lines, &format!("10.1.0.20 > default/web tcp/80: {peer}\n 8.8.8.8 > 10.1.0.21 tcp/80: {subject}"));
    }
}

#[test]
fn on_its_own_node_the_lease_decides_whose_an_address_is() {
    with(
        "pod other/claims b 10.1.0.6 app=web\n pod other/here a 10.1.0.30 app=web unleased",
        "
        10.1.0.6 > default/web tcp/80: no ingress
        10.1.0.30 > default/web tcp/80: pass
        ",
    );
}

#[test]
fn of_two_pods_elsewhere_the_one_that_stays_then_the_younger_has_the_address() {
    for (web, db, expected) in [
        ("created:2", "created:1", "pass"),
        ("created:1", "created:2", "no ingress"),
        ("created:2 terminating", "created:1", "no ingress"),
        ("created:1", "created:2 terminating", "pass"),
        ("created:1", "created:2 ended", "pass"),
    ] {
        with(
            &format!("pod other/one b 10.1.1.9 app=web {web}\n pod other/two b 10.1.1.9 app=db {db}"),
            &format!("10.1.1.9 > default/web tcp/80: {expected}"),
        );
    }
}

#[test]
fn pods_of_a_node_that_no_object_names_are_peers_by_address() {
    with("pod other/stray z 10.1.5.9 app=web", "other/stray > default/web tcp/80: no ingress");
}
