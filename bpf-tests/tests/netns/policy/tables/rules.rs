//! What a list of rules means.

use super::{Table, check};

#[test]
fn rules_are_read_as_documented() {
    check(&[
        Table {
            what: "no list and an empty list deny",
            policies: &[("x/p", "podSelector: {}"), ("y/p", "podSelector: {}, ingress: []")],
            passes: &["x/a > z/a tcp/80"],
            fails: &["z/a > x/a tcp/80", "z/a > y/a udp/80"],
        },
        Table {
            what: "one empty rule allows everything",
            policies: &[("x/p", "podSelector: {}, ingress: [{}]")],
            passes: &["y/a > x/a tcp/80", "y/a > x/a echo", "y/a > x/a sctp/9000"],
            fails: &[],
        },
        Table {
            what: "empty lists of peers and ports allow everything",
            policies: &[("x/p", "podSelector: {}, ingress: [{from: [], ports: []}]")],
            passes: &["y/a > x/a tcp/80", "y/a > x/a echo"],
            fails: &[],
        },
        Table {
            what: "one of two rules suffices",
            policies: &[("x/p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}, {ports: [{port: 443}]}]")],
            passes: &["x/b > x/a echo", "z/b > x/a tcp/443"],
            fails: &["z/b > x/a tcp/80", "z/b > x/a echo"],
        },
        Table {
            what: "peer and port are both needed",
            policies: &[("x/p", "podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 443}]}]")],
            passes: &["x/b > x/a tcp/443"],
            fails: &["z/b > x/a tcp/443", "x/b > x/a tcp/80", "x/b > x/a udp/80"],
        },
        Table {
            what: "an egress list isolates both ways",
            policies: &[("x/p", "podSelector: {}, egress: [{to: [{podSelector: {}}]}]")],
            passes: &[],
            fails: &["y/a > x/a tcp/80", "x/a > y/a tcp/80", "x/a > x/b tcp/80"],
        },
        Table {
            what: "types that are named are all",
            policies: &[("x/p", "podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}]}]")],
            passes: &["y/a > x/a tcp/80", "x/a > x/b tcp/80"],
            fails: &["x/a > y/a tcp/80"],
        },
    ]);
}
