//! `ports`.

use super::{check, small};

fn rule(rule: &str, lines: &str) {
    check(&small(&format!("policy default/p app=web isolates ingress\n ingress {rule}")), lines);
}

#[test]
fn a_rule_without_ports_allows_every_protocol() {
    rule(
        "block:8.0.0.0/8",
        "
        8.8.8.8 > default/web tcp/1: pass
        8.8.8.8 > default/web udp/1: pass
        8.8.8.8 > default/web sctp/1: pass
        8.8.8.8 > default/web echo: pass
        8.8.8.8 > default/web proto/47: pass
        ",
    );
}

#[test]
fn a_rule_with_ports_allows_nothing_that_has_none() {
    rule(
        "on tcp udp sctp",
        "
        8.8.8.8 > default/web tcp/1: pass
        8.8.8.8 > default/web udp/65535: pass
        8.8.8.8 > default/web sctp/80: pass
        8.8.8.8 > default/web echo: no ingress
        8.8.8.8 > default/web proto/47: no ingress
        ",
    );
}

#[test]
fn a_port_counts_for_its_protocol_and_by_its_destination() {
    rule(
        "on tcp/80 udp/81 sctp/82",
        "
        8.8.8.8 > default/web tcp/80: pass
        8.8.8.8 > default/web udp/80: no ingress
        8.8.8.8 > default/web udp/81: pass
        8.8.8.8 > default/web sctp/82: pass
        8.8.8.8 > default/web tcp/82: no ingress
        8.8.8.8 > default/web tcp/80-4000: no ingress
        ",
    );
}

#[test]
fn a_range_holds_both_its_ends() {
    for (port, expected) in [(79, "no ingress"), (80, "pass"), (85, "pass"), (90, "pass"), (91, "no ingress")] {
        rule("on tcp/80-90", &format!("8.8.8.8 > default/web tcp/{port}: {expected}"));
    }
    rule("on tcp/65535-65535", "8.8.8.8 > default/web tcp/65535: pass");
    rule("on tcp/1-65535", "8.8.8.8 > default/web tcp/65535: pass");
}

#[test]
fn a_named_port_of_an_ingress_rule_is_the_targets() {
    let lines = "
        pod default/named a 10.1.0.20 port:http/tcp/8080 port:http/tcp/8081 port:dns/udp/53
        policy default/p * isolates ingress
          ingress on tcp/http tcp/dns
    ";
    check(
        &small(lines),
        "
        8.8.8.8 > default/named tcp/8080: pass
        8.8.8.8 > default/named tcp/8081: pass
        8.8.8.8 > default/named tcp/80: no ingress
        8.8.8.8 > default/named udp/53: no ingress
        8.8.8.8 > default/named tcp/53: no ingress
        8.8.8.8 > default/web tcp/8080: no ingress
        ",
    );
}

#[test]
fn a_named_port_of_an_egress_rule_is_each_destinations_own() {
    let lines = "
        pod other/one b 10.1.1.20 port:http/tcp/8080
        pod other/two a 10.1.0.21 port:http/tcp/9090
        pod other/udp b 10.1.1.22 port:http/udp/8080
        pod other/ended b 10.1.1.23 port:http/tcp/8080 ended
        policy default/p app=web isolates egress
          egress on tcp/http
    ";
    check(
        &small(lines),
        "
        default/web > other/one tcp/8080: pass
        default/web > other/one tcp/9090: no egress
        default/web > other/two tcp/9090: pass
        default/web > other/two tcp/8080: no egress
        default/web > other/udp tcp/8080: no egress
        default/web > other/udp udp/8080: no egress
        default/web > other/far tcp/8080: no egress
        default/web > other/ended tcp/8080: no egress
        default/web > 8.8.8.8 tcp/8080: no egress
        default/web > 192.168.0.2 tcp/8080: no egress
        ",
    );
}

#[test]
fn a_block_and_a_named_port_go_together() {
    let lines = "
        pod other/one b 10.1.1.20 port:http/tcp/8080
        policy default/p app=web isolates egress
          egress block:10.1.0.0/16 on tcp/http
    ";
    check(
        &small(lines),
        "
        default/web > other/one tcp/8080: pass
        default/web > other/far tcp/8080: no egress
        ",
    );
}
