//! `ipBlock`.

use super::{check, small};

fn rule(rule: &str, lines: &str) {
    check(&small(&format!("policy default/p app=web isolates ingress,egress\n ingress {rule}\n egress {rule}")), lines);
}

#[test]
fn a_block_matches_addresses_but_for_its_exceptions() {
    rule(
        "block:8.0.0.0/8-8.8.0.0/16-8.9.9.9/32",
        "
        8.7.7.7 > default/web tcp/80: pass
        8.8.8.8 > default/web tcp/80: no ingress
        8.9.9.8 > default/web tcp/80: pass
        8.9.9.9 > default/web tcp/80: no ingress
        9.0.0.1 > default/web tcp/80: no ingress
        default/web > 8.7.7.7 tcp/80: pass
        default/web > 8.8.8.8 tcp/80: no egress
        ",
    );
}

#[test]
fn an_exception_of_one_block_takes_nothing_from_another() {
    rule("block:8.0.0.0/8-8.8.0.0/16 block:8.8.8.0/24", "8.8.8.8 > default/web tcp/80: pass");
}

#[test]
fn blocks_match_pods_and_nodes_by_their_addresses() {
    rule(
        "block:10.1.0.0/16-10.1.0.6/32 block:192.168.0.2/32",
        "
        other/far > default/web tcp/80: pass
        default/web > other/far tcp/80: pass
        default/db > default/web tcp/80: no ingress
        default/web > default/db tcp/80: no egress
        192.168.0.2 > default/web tcp/80: pass
        192.168.0.3 > default/web tcp/80: no ingress
        ",
    );
}

#[test]
fn families_are_apart() {
    rule(
        "block:::/0",
        "
        other/far@6 > default/web@6 tcp/80: pass
        other/far > default/web tcp/80: no ingress
        8.8.8.8 > default/web tcp/80: no ingress
        ",
    );
    rule(
        "block:0.0.0.0/0",
        "
        other/far@6 > default/web@6 tcp/80: no ingress
        other/far > default/web tcp/80: pass
        ",
    );
}

#[test]
fn host_bits_of_a_block_say_nothing() {
    rule(
        "block:8.8.8.8/16-8.8.3.3/24",
        "
        8.8.1.1 > default/web tcp/80: pass
        8.8.3.9 > default/web tcp/80: no ingress
        8.9.8.8 > default/web tcp/80: no ingress
        ",
    );
}
