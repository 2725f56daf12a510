//! Deny all, allow all, each way.

use super::{Table, check};

#[test]
fn all_may_be_denied_and_allowed_each_way() {
    check(&[
        Table {
            what: "all ingress of all namespaces",
            policies: &[("x/p", "podSelector: {}"), ("y/p", "podSelector: {}"), ("z/p", "podSelector: {}")],
            passes: &[],
            fails: &["x/a > x/b tcp/80", "y/a > z/a echo"],
        },
        Table {
            what: "all egress of all namespaces",
            policies: &[
                ("x/p", "podSelector: {}, policyTypes: [Egress]"),
                ("y/p", "podSelector: {}, policyTypes: [Egress]"),
                ("z/p", "podSelector: {}, policyTypes: [Egress]"),
            ],
            passes: &[],
            fails: &["x/a > x/b tcp/80", "y/a > z/a echo"],
        },
        Table {
            what: "everything of one pod",
            policies: &[("x/p", "podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress]")],
            passes: &["x/b > x/c tcp/80"],
            fails: &["x/a > x/b tcp/80", "x/b > x/a tcp/80"],
        },
        Table {
            what: "nothing",
            policies: &[("x/p", "podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]")],
            passes: &["x/a > y/a echo", "y/a > x/a sctp/80"],
            fails: &[],
        },
        Table {
            what: "only DNS goes out",
            policies: &[(
                "x/p",
                "podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}, {port: 53}]}]",
            )],
            passes: &["x/a > y/a udp/53", "y/a > x/a tcp/80"],
            fails: &["x/a > y/a tcp/80", "x/a > y/a udp/80"],
        },
    ]);
}
