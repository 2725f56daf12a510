//! Which policies count, and what they add up to.

use super::{check, judge, small};
use crate::testing::{cluster, packet};

#[test]
fn a_pod_that_no_policy_selects_sends_and_gets_all() {
    check(
        &small("policy default/p app=db isolates ingress,egress\n policy other/p * isolates ingress,egress"),
        "
        default/web > 8.8.8.8 tcp/80: pass
        other/far > default/web proto/47: pass
        ",
    );
}

#[test]
fn each_direction_is_isolated_on_its_own() {
    check(
        &small("policy default/p app=web isolates ingress\n policy default/q app=db isolates egress"),
        "
        default/web > default/db tcp/80: pass
        default/db > default/web tcp/80: neither
        default/web > 8.8.8.8 tcp/80: pass
        8.8.8.8 > default/web tcp/80: no ingress
        8.8.8.8 > default/db tcp/80: pass
        default/db > 8.8.8.8 tcp/80: no egress
        ",
    );
}

#[test]
fn rules_of_a_direction_that_is_not_isolated_say_nothing() {
    check(
        &small("policy default/p app=web isolates ingress\n egress block:10.0.0.0/24 on tcp/1"),
        "default/web > 8.8.8.8 tcp/80: pass",
    );
}

#[test]
fn policies_add_up_and_none_takes_from_another() {
    check(
        &small(
            "policy default/deny * isolates ingress
            policy default/web app=web isolates ingress
              ingress block:8.0.0.0/8 on tcp/80
              ingress namespaces:team=red
            policy default/web2 app=web isolates ingress
              ingress block:8.0.0.0/8 on udp/53",
        ),
        "
        8.8.8.8 > default/web tcp/80: pass
        8.8.8.8 > default/web udp/53: pass
        8.8.8.8 > default/web tcp/53: no ingress
        other/far > default/web tcp/53: pass
        8.8.8.8 > default/db tcp/80: no ingress
        ",
    );
}

#[test]
fn both_ends_must_allow() {
    let policies = "
        policy default/out app=web isolates egress
          egress pods:app=db on tcp/80
        policy default/in app=db isolates ingress
          ingress pods:app=web on tcp/81
    ";
    check(
        &small(policies),
        "
        default/web > default/db tcp/80: no ingress
        default/web > default/db tcp/81: no egress
        default/web > default/db tcp/82: neither
        ",
    );
}

#[test]
fn the_verdict_names_every_rule_that_allows_and_every_policy_that_isolates() {
    let cluster = cluster(&small(
        "policy default/a app=web isolates ingress
          ingress pods:app=nobody
          ingress block:8.0.0.0/8
        policy default/b * isolates ingress
          ingress block:8.8.0.0/16
        policy default/c app=web isolates ingress
        policy default/d app=web isolates egress",
    ));
    let packet = packet(&cluster, "8.8.8.8 > default/web tcp/80");
    let judgement = judge(&cluster.world(), &packet, cluster.sender(packet.source));
    let end = judgement.ingress.unwrap();
    let by: Vec<String> = end.by.iter().map(|rule| format!("{} {}", rule.policy, rule.index)).collect();
    assert_eq!(by, ["default/a 1", "default/b 0"]);
    let selected: Vec<String> = end.selected_by.iter().map(ToString::to_string).collect();
    assert_eq!(selected, ["default/a", "default/b", "default/c"]);
    assert_eq!((end.endpoint, end.isolated, judgement.egress), (1, true, None));
}
