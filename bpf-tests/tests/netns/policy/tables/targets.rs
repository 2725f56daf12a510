//! Whom a policy selects.

use super::{Table, check};

#[test]
fn a_policy_isolates_the_pods_that_it_selects_in_its_own_namespace() {
    check(&[
        Table {
            what: "everybody of a namespace",
            policies: &[("x/p", "podSelector: {}, policyTypes: [Ingress]")],
            passes: &["x/a > y/a tcp/80", "y/a > z/a echo"],
            fails: &["y/a > x/a tcp/80", "x/b > x/a sctp/80", "y/a > x/b echo"],
        },
        Table {
            what: "by a label",
            policies: &[("x/p", "podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress]")],
            passes: &["x/a > x/b tcp/80", "x/a > x/c udp/53"],
            fails: &["x/b > x/a tcp/80", "x/c > x/a udp/53"],
        },
        Table {
            what: "in",
            policies: &[("x/p", "podSelector: {matchExpressions: [{key: pod, operator: In, values: [a, b]}]}")],
            passes: &["x/a > x/c tcp/443"],
            fails: &["x/c > x/a tcp/443", "x/c > x/b tcp/443"],
        },
        Table {
            what: "not in",
            policies: &[("y/p", "podSelector: {matchExpressions: [{key: pod, operator: NotIn, values: [a, b]}]}")],
            passes: &["x/a > y/a tcp/443"],
            fails: &["x/a > y/c tcp/443"],
        },
        Table {
            what: "a label that is there",
            policies: &[("z/p", "podSelector: {matchExpressions: [{key: pod, operator: Exists}]}")],
            passes: &[],
            fails: &["x/a > z/c tcp/443"],
        },
        Table {
            what: "a label that is not there",
            policies: &[("z/p", "podSelector: {matchExpressions: [{key: other, operator: DoesNotExist}]}")],
            passes: &[],
            fails: &["x/a > z/c tcp/443"],
        },
        Table {
            what: "nobody",
            policies: &[("z/p", "podSelector: {matchLabels: {pod: d}}")],
            passes: &["x/a > z/c tcp/443"],
            fails: &[],
        },
    ]);
}
