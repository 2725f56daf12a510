//! Policies that say different things: their union holds.

use super::{Table, check};

#[test]
fn what_one_of_several_policies_allows_passes() {
    check(&[
        Table {
            what: "one denies, one allows",
            policies: &[
                ("x/deny", "podSelector: {}"),
                ("x/allow", "podSelector: {matchLabels: {pod: a}}, ingress: [{}]"),
            ],
            passes: &["y/a > x/a tcp/80"],
            fails: &["y/a > x/b tcp/80"],
        },
        Table {
            what: "each allows some",
            policies: &[
                ("x/p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"),
                ("x/q", "podSelector: {}, ingress: [{ports: [{port: 81}]}]"),
            ],
            passes: &["x/b > x/a tcp/80", "y/b > x/a tcp/81"],
            fails: &["y/b > x/a tcp/80"],
        },
        Table {
            what: "both ends must agree",
            policies: &[
                (
                    "x/p",
                    "podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: blue}}}]}]",
                ),
                ("y/p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"),
            ],
            passes: &["x/a > z/a tcp/80", "y/b > y/a tcp/80"],
            fails: &["x/a > y/a tcp/80", "x/a > x/b tcp/80", "z/a > y/a tcp/80"],
        },
        Table {
            what: "one isolates one way, the other the other",
            policies: &[
                (
                    "x/p",
                    "podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]",
                ),
                (
                    "x/q",
                    "podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {pod: c}}}]}]",
                ),
            ],
            passes: &["x/b > x/a tcp/80", "x/a > x/c tcp/80"],
            fails: &["x/a > x/b tcp/80", "x/c > x/a tcp/80"],
        },
        Table {
            what: "the same in two namespaces",
            policies: &[
                ("x/p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"),
                ("y/p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"),
            ],
            passes: &["x/a > x/b tcp/80", "y/a > y/b tcp/80", "x/a > z/a tcp/80"],
            fails: &["x/a > y/a tcp/80", "y/a > x/a tcp/80"],
        },
    ]);
}
