//! Who is meant by a peer.

use super::{NODE_1, Table, check};

#[test]
fn peers_are_pods_namespaces_both_and_blocks() {
    check(&[
        Table {
            what: "pods mean those of the own namespace",
            policies: &[("x/p", "podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]")],
            passes: &["x/b > x/a tcp/80", "x/b > x/c echo"],
            fails: &["y/b > x/a tcp/80", "x/c > x/a tcp/80"],
        },
        Table {
            what: "namespaces by label",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]",
            )],
            passes: &["y/a > x/a tcp/80", "z/c > x/b udp/53"],
            fails: &["x/a > x/b tcp/80"],
        },
        Table {
            what: "a namespace by name",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]}]",
            )],
            passes: &["z/a > x/a tcp/80"],
            fails: &["y/a > x/a tcp/80", "x/b > x/a tcp/80"],
        },
        Table {
            what: "every namespace",
            policies: &[("x/p", "podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]")],
            passes: &["z/a > x/a tcp/80", "x/b > x/a tcp/80"],
            fails: &[],
        },
        Table {
            what: "both must match",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {pod: b}}}]}]",
            )],
            passes: &["y/b > x/a tcp/80", "z/b > x/a tcp/80"],
            fails: &["y/a > x/a tcp/80", "x/b > x/a tcp/80"],
        },
        Table {
            what: "either of two peers",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}, {podSelector: {matchLabels: {pod: b}}}]}]",
            )],
            passes: &["y/a > x/a tcp/80", "x/b > x/a tcp/80"],
            fails: &["x/c > x/a tcp/80"],
        },
        Table {
            what: "towards pods",
            policies: &[(
                "x/p",
                "podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchExpressions: [{key: zone, operator: DoesNotExist}]}}]}]",
            )],
            passes: &["x/a > y/a tcp/80", "x/a > x/b echo", "z/a > x/a tcp/80"],
            fails: &["x/a > z/a tcp/80"],
        },
        Table {
            what: "blocks match pods",
            policies: &[("x/p", &format!("podSelector: {{}}, ingress: [{{from: [{NODE_1}]}}]"))],
            passes: &["x/c > x/a tcp/80", "z/a > x/b tcp/80"],
            fails: &["x/b > x/a tcp/80", "y/a > x/c echo"],
        },
        Table {
            what: "what is excepted",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.244.77.1/16, except: [10.244.2.0/24]}}, {ipBlock: {cidr: \"fd00:244::/32\", except: [\"fd00:244:2::/64\"]}}]}]",
            )],
            passes: &["y/b > x/a tcp/80"],
            fails: &["y/a > x/a tcp/80"],
        },
        Table {
            what: "another peer may allow what a block excepts",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.244.2.0/24]}}, {ipBlock: {cidr: \"::/0\", except: [\"fd00:244:2::/64\"]}}, {podSelector: {}}]}]",
            )],
            passes: &["y/b > x/a tcp/80", "x/b > x/a tcp/80"],
            fails: &["y/a > x/a tcp/80"],
        },
    ]);
}
