//! `from` and `to`: selectors.

use super::{check, small};

/// What `default/web` may get under one rule.
fn rule(rule: &str, lines: &str) {
    check(&small(&format!("policy default/p app=web isolates ingress\n ingress {rule}")), lines);
}

#[test]
fn a_pod_selector_alone_means_the_policys_own_namespace() {
    rule(
        "pods:app=web",
        "
        other/far > default/web tcp/80: no ingress
        default/db > default/web tcp/80: no ingress
        ",
    );
    rule("pods:app=db", "default/db > default/web tcp/80: pass");
    rule(
        "pods:*",
        "
        default/db > default/web tcp/80: pass
        other/far > default/web tcp/80: no ingress
        8.8.8.8 > default/web tcp/80: no ingress
        ",
    );
}

#[test]
fn an_empty_namespace_selector_means_every_pod() {
    rule(
        "namespaces:*",
        "
        default/db > default/web tcp/80: pass
        other/far > default/web tcp/80: pass
        8.8.8.8 > default/web tcp/80: no ingress
        192.168.0.2 > default/web tcp/80: no ingress
        ",
    );
}

#[test]
fn expressions_ask_for_values_and_for_keys() {
    for (selector, expected) in [
        ("team=red|green", "pass"),
        ("team=blue", "no ingress"),
        ("team!=blue", "pass"),
        ("team!=red", "no ingress"),
        ("other!=red", "pass"),
        ("team", "pass"),
        ("!team", "no ingress"),
        ("!other", "pass"),
        ("team=red&!other", "pass"),
        ("team=red&other", "no ingress"),
    ] {
        rule(&format!("namespaces:{selector}"), &format!("other/far > default/web tcp/80: {expected}"));
    }
}

#[test]
fn no_peers_means_everyone() {
    rule(
        "on tcp/80",
        "
        8.8.8.8 > default/web tcp/80: pass
        other/far > default/web tcp/80: pass
        192.168.0.2 > default/web tcp/80: pass
        ",
    );
}

#[test]
fn of_an_unknown_namespace_only_the_name_is_known() {
    for (selector, expected) in [
        ("*", "pass"),
        ("kubernetes.io/metadata.name=lost", "pass"),
        ("kubernetes.io/metadata.name", "pass"),
        ("kubernetes.io/metadata.name=other", "no ingress"),
        ("kubernetes.io/metadata.name!=other", "no ingress"),
        ("kubernetes.io/metadata.name=lost&team!=red", "no ingress"),
        ("team!=red", "no ingress"),
        ("!team", "no ingress"),
        ("team=red", "no ingress"),
    ] {
        let policy = format!(
            "pod lost/p a 10.1.0.20\n policy default/p app=web isolates ingress\n ingress namespaces:{selector}"
        );
        check(&small(&policy), &format!("lost/p > default/web tcp/80: {expected}"));
    }
}

#[test]
fn a_policy_of_an_unknown_namespace_holds() {
    check(
        &small("pod lost/p a 10.1.0.20\n pod lost/q a 10.1.0.21\n policy lost/p * isolates ingress\n ingress pods:*"),
        "
        lost/q > lost/p tcp/80: pass
        default/web > lost/p tcp/80: no ingress
        ",
    );
}

#[test]
fn a_namespace_cannot_lie_about_its_name() {
    let lines = "
        namespace liar kubernetes.io/metadata.name=other
        pod liar/p a 10.1.0.20
        policy default/p app=web isolates ingress
          ingress namespaces:kubernetes.io/metadata.name=other
    ";
    check(&small(lines), "liar/p > default/web tcp/80: no ingress");
}
