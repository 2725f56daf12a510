//! The examples of <https://kubernetes.io/docs/concepts/services-networking/network-policies/>.

use super::{check, small};

#[test]
fn the_resource_example_protects_the_database_in_both_directions() {
    check(
        "
        node a 192.168.0.1
        node b 192.168.0.2
        namespace default
        namespace ours project=myproject
        namespace theirs project=theirs
        pod default/db a 10.1.0.5 role=db
        pod default/front a 10.1.0.6 role=frontend
        pod default/other a 10.1.0.7 role=other
        pod ours/any b 10.1.1.5
        pod theirs/front b 10.1.1.6 role=frontend
        policy default/test-network-policy role=db isolates ingress,egress
          ingress block:172.17.0.0/16-172.17.1.0/24 namespaces:project=myproject pods:role=frontend on tcp/6379
          egress block:10.0.0.0/24 on tcp/5978
        ",
        "
        172.17.0.9 > default/db tcp/6379: pass
        172.17.2.9 > default/db tcp/6379: pass
        172.17.1.9 > default/db tcp/6379: no ingress
        172.18.0.9 > default/db tcp/6379: no ingress
        172.17.0.9 > default/db tcp/6378: no ingress
        172.17.0.9 > default/db udp/6379: no ingress
        172.17.0.9 > default/db echo: no ingress
        default/front > default/db tcp/6379: pass
        default/other > default/db tcp/6379: no ingress
        ours/any > default/db tcp/6379: pass
        ours/any > default/db tcp/80: no ingress
        theirs/front > default/db tcp/6379: no ingress
        default/db > 10.0.0.9 tcp/5978: pass
        default/db > 10.0.0.9 tcp/5979: no egress
        default/db > 10.0.1.9 tcp/5978: no egress
        default/db > default/front tcp/5978: no egress
        default/front > ours/any tcp/1: pass
        ",
    );
}

/// "Default deny all ingress traffic", "Allow all ingress traffic", and so on.
#[test]
fn default_policies_deny_or_allow_all() {
    let cases = [
        ("policy default/p * isolates ingress", "pass", "no ingress"),
        ("policy default/p * isolates ingress\n ingress", "pass", "pass"),
        ("policy default/p * isolates egress\n egress", "pass", "pass"),
        ("policy default/p * isolates egress", "no egress", "pass"),
        ("policy default/p * isolates ingress,egress", "no egress", "no ingress"),
    ];
    for (policy, out, into) in cases {
        check(
            &small(policy),
            &format!(
                "default/web > 8.8.8.8 tcp/80: {out}
                default/web > other/far udp/53: {out}
                default/web@6 > other/far@6 echo: {out}
                8.8.8.8 > default/web tcp/80: {into}
                other/far > default/web sctp/80: {into}
                other/far@6 > default/web@6 proto/47: {into}"
            ),
        );
    }
}

/// "Behavior of to and from selectors".
#[test]
fn selectors_of_one_entry_must_both_match_and_those_of_two_need_one() {
    let world = |rule: &str| {
        format!(
            "
            node a 192.168.0.1
            namespace default
            namespace alice user=alice
            namespace bob user=bob
            pod default/server a 10.1.0.5
            pod alice/client a 10.1.0.6 role=client
            pod alice/other a 10.1.0.7 role=other
            pod bob/client a 10.1.0.8 role=client
            pod default/client a 10.1.0.9 role=client
            pod default/other a 10.1.0.10
            policy default/p * isolates ingress
              ingress {rule}
            "
        )
    };
    check(
        &world("namespaces:user=alice+pods:role=client"),
        "
        alice/client > default/server tcp/80: pass
        alice/other > default/server tcp/80: no ingress
        bob/client > default/server tcp/80: no ingress
        default/client > default/server tcp/80: no ingress
        ",
    );
    check(
        &world("namespaces:user=alice pods:role=client"),
        "
        alice/client > default/server tcp/80: pass
        alice/other > default/server tcp/80: pass
        bob/client > default/server tcp/80: no ingress
        default/client > default/server tcp/80: pass
        default/other > default/server tcp/80: no ingress
        ",
    );
}

/// "Targeting a range of ports".
#[test]
fn the_example_of_a_range_allows_every_port_of_it() {
    check(
        &small("policy default/multi-port-egress app=db isolates egress\n egress block:10.0.0.0/24 on tcp/32000-32768"),
        "
        default/db > 10.0.0.9 tcp/31999: no egress
        default/db > 10.0.0.9 tcp/32000: pass
        default/db > 10.0.0.9 tcp/32500: pass
        default/db > 10.0.0.9 tcp/32768: pass
        default/db > 10.0.0.9 tcp/32769: no egress
        default/db > 10.0.0.9 udp/32500: no egress
        default/web > 10.0.0.9 tcp/31999: pass
        ",
    );
}

/// "Targeting multiple namespaces by label".
#[test]
fn the_example_of_several_namespaces_allows_each_of_them() {
    check(
        "
        node a 192.168.0.1
        namespace default
        namespace front namespace=frontend
        namespace back namespace=backend
        namespace third namespace=third
        pod default/p a 10.1.0.5 app=myapp
        pod front/p a 10.1.0.6
        pod back/p a 10.1.0.7
        pod third/p a 10.1.0.8
        policy default/egress-namespaces app=myapp isolates egress
          egress namespaces:namespace=frontend|backend
        ",
        "
        default/p > front/p tcp/80: pass
        default/p > back/p udp/80: pass
        default/p > third/p tcp/80: no egress
        default/p > 8.8.8.8 tcp/80: no egress
        ",
    );
}

/// "Targeting a Namespace by its name".
#[test]
fn a_namespace_is_targeted_by_its_name_without_a_label_of_its_own() {
    check(
        &small("policy default/p app=web isolates egress\n egress namespaces:kubernetes.io/metadata.name=other"),
        "
        default/web > other/far tcp/80: pass
        default/web > default/db tcp/80: no egress
        ",
    );
}

/// "What you can't do": a policy neither denies to a pod what it sends itself, nor to its node what it asks of it.
#[test]
fn a_pod_reaches_itself_and_its_node_reaches_it() {
    check(
        &small("policy default/p * isolates ingress,egress"),
        "
        default/web > default/web tcp/80: pass
        default/web@6 > default/web@6 echo: pass
        192.168.0.1 > default/web tcp/80: pass
        fd00:2::1 > default/web@6 tcp/80: pass
        default/web > default/db tcp/80: neither
        ",
    );
}
