//! What a watch says, event by event, and what is then to be seen.

use ferrule_model::selector::Selector;
use serde_json::{Value, json};

use super::*;

fn decoded(kind: Kind, value: Value) -> Decoded {
    crate::decode::decode(kind, &value.to_string(), usize::MAX).1
}

fn pod(name: &str, node: &str, ip: &str) -> Decoded {
    decoded(
        Kind::Pod,
        json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"nodeName": node}, "status": {"phase": "Running", "podIP": ip},
        }),
    )
}

fn announced(name: &str, node: &str, ips: &str) -> Decoded {
    decoded(
        Kind::Pod,
        json!({
            "metadata": {
                "name": name, "namespace": "default", "uid": name, "annotations": {"ferrule.dev/pod-ips": format!("{name}/{ips}")},
            },
            "spec": {"nodeName": node},
        }),
    )
}

fn node(name: &str, cidr: &str) -> Decoded {
    decoded(Kind::Node, json!({"metadata": {"name": name}, "spec": {"podCIDRs": [cidr]}}))
}

fn policy(name: &str, direction: &str) -> Decoded {
    decoded(
        Kind::NetworkPolicy,
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"policyTypes": [direction]}}),
    )
}

/// A mirror in which every kind was listed, and was empty.
fn synced() -> Mirror {
    let mut mirror = Mirror::default();
    for kind in Kind::ALL {
        list(&mut mirror, kind, vec![]);
    }
    mirror
}

fn list(mirror: &mut Mirror, kind: Kind, objects: Vec<Decoded>) {
    mirror.take(kind, Event::Init);
    for object in objects {
        mirror.take(kind, Event::InitApply(object));
    }
    mirror.take(kind, Event::InitDone);
}

#[track_caller]
fn check(mirror: &Mirror, pods: &[&str]) {
    let snapshot = mirror.snapshot();
    let shown = snapshot.objects.pods.values().map(|pod| format!("{} {:?}", pod.name.name, pod.ips));
    assert_eq!(shown.collect::<Vec<_>>(), pods, "{snapshot:#?}");
}

#[test]
fn it_is_synced_when_every_kind_was_listed() {
    let mut mirror = Mirror::default();
    for kind in Kind::ALL {
        assert!(!mirror.snapshot().synced && mirror.missing().any(|missing| missing == kind));
        list(&mut mirror, kind, vec![]);
    }
    assert!(mirror.snapshot().synced && mirror.snapshot().whole);
}

#[test]
fn a_list_replaces_its_kind_in_one_step() {
    let mut mirror = synced();
    list(&mut mirror, Kind::Pod, vec![pod("a", "n1", "10.1.0.1"), pod("b", "n1", "10.1.0.2")]);
    check(&mirror, &["a [10.1.0.1]", "b [10.1.0.2]"]);
    let before = mirror.snapshot();
    for event in
        [Event::Init, Event::InitApply(pod("b", "n1", "10.1.0.2")), Event::InitApply(pod("c", "n1", "10.1.0.1"))]
    {
        assert!(!mirror.take(Kind::Pod, event));
        check(&mirror, &["a [10.1.0.1]", "b [10.1.0.2]"]);
    }
    assert!(mirror.take(Kind::Pod, Event::InitDone));
    check(&mirror, &["b [10.1.0.2]", "c [10.1.0.1]"]);
    let same = |objects: &Objects| objects.pods.get(&ObjectName::new("default", "b")).cloned();
    let after = mirror.snapshot();
    assert!(Arc::ptr_eq(&same(&before.objects).unwrap(), &same(&after.objects).unwrap()), "equal objects are shared");
}

#[test]
fn a_watch_that_breaks_off_a_list_changes_nothing() {
    let mut mirror = synced();
    list(&mut mirror, Kind::Pod, vec![pod("a", "n1", "10.1.0.1")]);
    mirror.take(Kind::Pod, Event::Init);
    mirror.take(Kind::Pod, Event::InitApply(pod("b", "n1", "10.1.0.2")));
    list(&mut mirror, Kind::Pod, vec![pod("c", "n1", "10.1.0.3")]);
    check(&mirror, &["c [10.1.0.3]"]);
}

#[test]
fn what_says_nothing_new_makes_no_snapshot() {
    let mut mirror = synced();
    assert!(mirror.take(Kind::Pod, Event::Apply(pod("a", "n1", "10.1.0.1"))));
    assert!(!mirror.take(Kind::Pod, Event::Apply(pod("a", "n1", "10.1.0.1"))));
    assert!(mirror.take(Kind::Pod, Event::Delete(pod("a", "n1", "10.1.0.1"))));
    assert!(!mirror.take(Kind::Pod, Event::Delete(pod("a", "n1", "10.1.0.1"))));
}

#[test]
fn an_object_with_a_bad_value_keeps_its_last_good_state_and_is_named() {
    let mut mirror = synced();
    mirror.take(Kind::Pod, Event::Apply(pod("a", "n1", "10.1.0.1")));
    mirror.take(Kind::Pod, Event::Apply(pod("a", "n1", "nowhere")));
    check(&mirror, &["a [10.1.0.1]"]);
    let words = "kubernetes: Pod default/a: status.podIP: \"nowhere\" is not an IP address; correct it, until then its last \
                 good state stands";
    assert_eq!(mirror.snapshot().notes[0].to_string(), words);
    list(&mut mirror, Kind::Pod, vec![pod("a", "n1", "nowhere")]);
    check(&mirror, &["a [10.1.0.1]"]);
    mirror.take(Kind::Pod, Event::Apply(pod("a", "n1", "10.1.0.2")));
    check(&mirror, &["a [10.1.0.2]"]);
    assert!(mirror.snapshot().notes.is_empty());
}

/// What is in force of the only policy: what it selects, the directions, how many rules.
fn in_force(mirror: &Mirror) -> String {
    let objects = mirror.snapshot().objects;
    assert_eq!(objects.policies.len(), 1);
    let policy = objects.policies.values().next().expect("a policy");
    let rules = policy.ingress.len() + policy.egress.len();
    let selected = if policy.pod_selector == Selector::new(Vec::new()) { "everything" } else { "web" };
    format!("{selected} {:?} {rules}", policy.isolates)
}

#[test]
fn a_policy_that_could_never_be_read_closes_what_it_may_select() {
    let bad = |spec: serde_json::Value| {
        let metadata = json!({"name": "p", "namespace": "default"});
        Event::Apply(decoded(Kind::NetworkPolicy, json!({"metadata": metadata, "spec": spec})))
    };
    let web = json!({"matchLabels": {"app": "web"}});
    let wrong_rule = json!([{"from": [{"ipBlock": {"cidr": "10.0.0.0/99"}}]}]);
    let mut mirror = synced();
    for (spec, expected) in [
        (json!({"podSelector": web, "ingress": wrong_rule}), "web [Ingress] 0"),
        (json!({"podSelector": web, "egress": [{}], "ingress": wrong_rule}), "web [Ingress, Egress] 0"),
        (json!({"podSelector": web, "policyTypes": ["Egress"], "ingress": wrong_rule}), "web [Egress] 0"),
        (json!({"podSelector": web, "policyTypes": ["Sideways"]}), "web [Ingress, Egress] 0"),
        (json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}), "everything [Ingress] 0"),
    ] {
        mirror.take(Kind::NetworkPolicy, bad(spec.clone()));
        assert_eq!(in_force(&mirror), expected, "{spec}");
        let snapshot = mirror.snapshot();
        assert!(snapshot.synced && snapshot.whole, "nothing else waits for it");
        assert!(
            snapshot.notes[0].to_string().contains("the pods that it may select are isolated"),
            "{}",
            snapshot.notes[0]
        );
    }
    let metadata = json!({"name": "p", "namespace": "default"});
    let spec = json!({"podSelector": web, "ingress": wrong_rule});
    list(
        &mut mirror,
        Kind::NetworkPolicy,
        vec![decoded(Kind::NetworkPolicy, json!({"metadata": metadata, "spec": spec}))],
    );
    assert_eq!(in_force(&mirror), "web [Ingress] 0", "a list is no good state either");

    mirror.take(Kind::NetworkPolicy, bad(json!({"ingress": [{}]})));
    assert_eq!(in_force(&mirror), "everything [Ingress] 1");
    assert!(mirror.snapshot().notes.is_empty());
    mirror.take(Kind::NetworkPolicy, bad(spec));
    assert_eq!(in_force(&mirror), "everything [Ingress] 1", "its last good state is known");
    mirror.take(Kind::NetworkPolicy, Event::Delete(policy("p", "Ingress")));
    assert!(mirror.snapshot().objects.policies.is_empty() && mirror.snapshot().notes.is_empty());
}

#[test]
fn an_agent_announces_addresses_of_its_own_node_until_the_kubelet_posts_them() {
    let mut mirror = synced();
    mirror.take(Kind::Node, Event::Apply(node("n1", "10.1.0.0/24")));
    mirror.take(Kind::Pod, Event::Apply(announced("a", "n1", "10.1.0.7")));
    check(&mirror, &["a [10.1.0.7]"]);
    assert!(mirror.snapshot().objects.pods.values().all(|pod| pod.announced));
    mirror.take(Kind::Pod, Event::Apply(pod("a", "n1", "10.1.0.8")));
    check(&mirror, &["a [10.1.0.8]"]);
    assert!(mirror.snapshot().objects.pods.values().all(|pod| !pod.announced));
}

#[test]
fn nobody_announces_an_address_of_another_node() {
    let mut mirror = synced();
    mirror.take(Kind::Pod, Event::Apply(announced("a", "n1", "10.1.0.7")));
    check(&mirror, &["a []"]);
    mirror.take(Kind::Node, Event::Apply(node("n1", "10.2.0.0/24")));
    check(&mirror, &["a []"]);
    mirror.take(Kind::Node, Event::Apply(node("n1", "10.1.0.0/24")));
    check(&mirror, &["a [10.1.0.7]"]);
    list(&mut mirror, Kind::Pod, vec![announced("b", "n1", "10.1.0.9,10.3.0.1")]);
    check(&mirror, &["b []"]);
}

#[test]
fn labels_that_no_pod_has_any_more_are_forgotten_without_a_list() {
    let mut mirror = synced();
    for number in 0..10 * gather::FEW {
        let labels = json!({"job": format!("j-{number}")});
        mirror.take(
            Kind::Pod,
            Event::Apply(decoded(Kind::Pod, json!({"metadata": {"name": "web-0", "labels": labels}}))),
        );
    }
    assert!(mirror.shared.len() <= gather::FEW + 1, "{} are kept for one pod", mirror.shared.len());
}
