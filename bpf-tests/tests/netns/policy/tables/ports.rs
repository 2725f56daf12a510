//! Which ports and protocols are meant.

use super::{Table, check};

#[test]
fn ports_are_numbers_ranges_names_and_whole_protocols() {
    check(&[
        Table {
            what: "a number is of TCP",
            policies: &[("x/p", "podSelector: {}, ingress: [{ports: [{port: 80}]}]")],
            passes: &["y/a > x/a tcp/80"],
            fails: &["y/a > x/a tcp/81", "y/a > x/a udp/80", "y/a > x/a sctp/80", "y/a > x/a echo"],
        },
        Table {
            what: "of another protocol",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{ports: [{port: 80, protocol: UDP}, {port: 9000, protocol: SCTP}]}]",
            )],
            passes: &["y/a > x/a udp/80", "y/a > x/a sctp/9000"],
            fails: &["y/a > x/a tcp/80", "y/a > x/a sctp/80", "y/a > x/a udp/53"],
        },
        Table {
            what: "a range",
            policies: &[("x/p", "podSelector: {}, ingress: [{ports: [{port: 80, endPort: 100}]}]")],
            passes: &["y/a > x/a tcp/80", "y/a > x/a tcp/81"],
            fails: &["y/a > x/a tcp/443", "y/a > x/a udp/80"],
        },
        Table {
            what: "every port of a protocol",
            policies: &[
                ("x/p", "podSelector: {}, ingress: [{ports: [{protocol: SCTP}]}]"),
                ("y/p", "podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]"),
            ],
            passes: &["y/a > x/a sctp/80", "y/a > x/a sctp/9000", "x/a > y/a udp/53"],
            fails: &["y/a > x/a tcp/80", "x/a > y/a tcp/80", "x/a > y/a echo"],
        },
        Table {
            what: "a name is the pod's own port",
            policies: &[("x/p", "podSelector: {}, ingress: [{ports: [{port: web}]}]")],
            passes: &["y/a > x/a tcp/80", "y/a > x/b tcp/81", "y/a > x/c tcp/443"],
            fails: &["y/a > x/a tcp/81", "y/a > x/b tcp/80", "y/a > x/c tcp/80"],
        },
        Table {
            what: "a name's protocol must agree",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{ports: [{port: sig, protocol: SCTP}, {port: dns}, {port: web, protocol: UDP}]}]",
            )],
            passes: &["y/a > x/a sctp/9000"],
            fails: &["y/a > x/c udp/53", "y/a > x/a udp/80", "y/a > x/a tcp/80"],
        },
        Table {
            what: "towards names, of each target its own",
            policies: &[(
                "x/p",
                "podSelector: {matchLabels: {pod: a}}, policyTypes: [Egress], egress: [{ports: [{port: web}, {port: dns, protocol: UDP}]}]",
            )],
            passes: &["x/a > y/a tcp/80", "x/a > y/b tcp/81", "x/a > z/c tcp/443", "x/a > z/c udp/53"],
            fails: &["x/a > y/a tcp/81", "x/a > y/a udp/53", "x/a > y/a echo"],
        },
        Table {
            what: "a name that nobody has",
            policies: &[("x/p", "podSelector: {}, ingress: [{ports: [{port: none}]}]")],
            passes: &[],
            fails: &["y/a > x/a tcp/80"],
        },
        Table {
            what: "some peers at some ports, others at others",
            policies: &[(
                "x/p",
                "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {zone: outer}}}], ports: [{port: 80}]}, {from: [{namespaceSelector: {}}], ports: [{port: 443}]}]",
            )],
            passes: &["z/a > x/a tcp/80", "y/a > x/a tcp/443", "z/a > x/a tcp/443"],
            fails: &["y/a > x/a tcp/80"],
        },
    ]);
}
