//! Sequences: packets with events between them.

use crate::{
    oracle::{
        Packet, Traffic,
        flows::{Flows, Role},
    },
    testing::{cluster, packet},
};

/// Lets lines happen one after the other: `= WORLD` for another world, from a table of them by name; `flush`; else
/// `PACKET: ROLE pass|cut`; `error PACKET by ADDRESS` for an ICMP error about a packet.
fn check(worlds: &[(&str, &str)], lines: &str) {
    let named = |name: &str| cluster(worlds.iter().find(|(one, _)| *one == name).unwrap().1);
    let mut now = named(worlds[0].0);
    let mut flows = Flows::default();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("= ") {
            now = named(name);
            flows.changed(&now.world());
            continue;
        }
        let (what, expected) = line.rsplit_once(": ").unwrap();
        let packet = match what.strip_prefix("error ").and_then(|rest| rest.rsplit_once(" by ")) {
            Some((about, by)) => {
                let about = packet(&now, about);
                let error = Traffic::Error { about: Box::new(about.clone()) };
                Packet { source: by.parse().unwrap(), destination: about.source, traffic: error }
            }
            None => packet(&now, what),
        };
        let outcome = flows.see(&now.world(), &packet, now.sender(packet.source));
        let role = match outcome.role {
            Role::New => "new",
            Role::Opener => "opener",
            Role::Reply => "reply",
            Role::Related => "related",
        };
        let verdict = if outcome.passes() { "pass" } else { "cut" };
        assert_eq!(format!("{role} {verdict}"), expected, "{line}\n{outcome:#?}\n{flows:#?}");
    }
}

const PODS: &str = "
    node a 192.168.0.1
    node b 192.168.0.2
    namespace default
    pod default/web a 10.1.0.5 app=web
    pod default/db a 10.1.0.6 app=db
    pod default/far b 10.1.1.5 app=far
";

fn with(lines: &str) -> String {
    format!("{PODS}{lines}")
}

/// The database may not open anything, and gets port 80.
const CLOSED: &str = "
    policy default/db app=db isolates ingress,egress
      ingress on tcp/80 udp/80
";
const DENIED: &str = "policy default/db app=db isolates ingress,egress";

#[test]
fn replies_of_an_allowed_flow_pass() {
    check(
        &[("closed", &with(CLOSED))],
        "
        default/web > default/db tcp/5000-80: new pass
        default/db > default/web tcp/80-5000+: reply pass
        default/web > default/db tcp/5000-80+: opener pass
        default/far > default/db udp/5000-80: new pass
        default/db > default/far udp/80-5000: reply pass
        default/db > default/far udp/81-5000: new cut
        default/far > default/db udp/5000-81: new cut
        default/db > default/far udp/81-5000: new cut
        ",
    );
}

#[test]
fn a_policy_that_arrives_cuts_what_it_denies_and_leaves_the_rest() {
    check(
        &[("open", PODS), ("closed", &with(CLOSED))],
        "
        default/web > default/db tcp/5000-80: new pass
        default/web > default/db tcp/5000-81: new pass
        default/db > default/web tcp/6000-80: new pass
        = closed
        default/db > default/web tcp/80-5000+: reply pass
        default/web > default/db tcp/5000-80+: opener pass
        default/db > default/web tcp/81-5000+: reply cut
        default/web > default/db tcp/5000-81+: opener cut
        default/web > default/db tcp/80-6000+: reply cut
        default/db > default/web tcp/6000-80+: opener cut
        = open
        default/db > default/web tcp/81-5000+: reply pass
        ",
    );
}

#[test]
fn a_flow_that_is_cut_stays_cut_until_the_other_end_opens_one() {
    let no_ingress = with("policy default/db app=db isolates ingress");
    check(
        &[("open", PODS), ("no-ingress", &no_ingress)],
        "
        default/web > default/db tcp/5000-80: new pass
        default/web > default/db udp/5000-80: new pass
        = no-ingress
        default/db > default/web tcp/80-5000+: reply cut
        default/db > default/web udp/80-5000: reply cut
        default/db > default/web tcp/80-5000: new pass
        default/web > default/db tcp/5000-80+: reply pass
        default/db > default/web udp/81-5000: new pass
        ",
    );
}

#[test]
fn a_syn_of_the_end_that_did_not_open_is_judged_as_its_own() {
    check(
        &[("closed", &with(CLOSED))],
        "
        default/web > default/db tcp/5000-80: new pass
        default/db > default/web tcp/80-5000: new cut
        default/db > default/web tcp/80-5000+: reply pass
        ",
    );
}

#[test]
fn tcp_that_opens_nothing_is_judged_as_its_senders() {
    check(
        &[("closed", &with(CLOSED))],
        "
        default/db > default/web tcp/80-5000+: new cut
        default/web > default/db tcp/5000-80+: new pass
        default/db > default/web tcp/80-5000+: reply pass
        ",
    );
}

#[test]
fn an_address_that_changes_hands_takes_no_flow_with_it() {
    let closed = with(CLOSED);
    let gone = closed.replace("pod default/far b 10.1.1.5 app=far", "");
    let other = closed.replace("pod default/far b", "pod default/next b");
    let leased = closed.replace(
        "pod default/db a 10.1.0.6 app=db",
        "pod default/db a 10.1.0.6 app=db unleased\nendpoint 9 10.1.0.6 default/db",
    );
    check(
        &[("closed", &closed), ("gone", &gone), ("other", &other), ("leased", &leased)],
        "
        default/far > default/db tcp/5000-80: new pass
        default/web > default/db tcp/5000-80: new pass
        = gone
        default/db > 10.1.1.5 tcp/80-5000+: new cut
        = other
        default/db > 10.1.1.5 tcp/80-5000+: new cut
        default/db > default/web tcp/80-5000+: reply pass
        = leased
        default/db > default/web tcp/80-5000+: new cut
        ",
    );
}

#[test]
fn a_flow_goes_on_when_its_pod_becomes_known() {
    let late = with(CLOSED).replace("pod default/far b 10.1.1.5 app=far", "");
    check(
        &[("late", &late), ("closed", &with(CLOSED))],
        "
        10.1.1.5 > default/db tcp/5000-80: new pass
        = closed
        default/db > default/far tcp/80-5000+: reply pass
        ",
    );
}

#[test]
fn echo_is_answered_by_identifier_and_each_end_asks_for_itself() {
    check(
        &[("one-way", &with("policy default/db app=db isolates egress"))],
        "
        default/db > default/web echo-reply/7: new cut
        default/web > default/db echo/7: new pass
        default/db > default/web echo-reply/7: reply pass
        default/db > default/web echo-reply/8: new cut
        default/db > default/web echo/7: new cut
        default/web > default/db echo/7: opener pass
        ",
    );
}

#[test]
fn icmp_errors_about_a_flow_go_with_it() {
    check(
        &[("closed", &with(CLOSED)), ("denied", &with(DENIED))],
        "
        default/web > default/db tcp/5000-80: new pass
        default/far > default/db tcp/5000-80: new pass
        error default/db > default/far tcp/80-5000+ by 8.8.8.8: related pass
        error default/far > default/db tcp/5000-80+ by 10.1.0.6: related pass
        error default/db > default/far tcp/80-5001+ by 8.8.8.8: new cut
        error default/far > default/db tcp/5000-80+ by 10.1.0.5: new pass
        error default/web > default/db tcp/5000-80+ by 10.1.0.6: related pass
        = denied
        error default/db > default/far tcp/80-5000+ by 8.8.8.8: related cut
        ",
    );
}

#[test]
fn what_the_node_opened_its_pod_may_answer() {
    check(
        &[("open", PODS), ("denied", &with(&format!("{DENIED}\n policed")))],
        "
        = denied
        192.168.0.1 > default/db tcp/5000-80: new pass
        default/db > 192.168.0.1 tcp/80-5000+: reply pass
        default/db > 192.168.0.1 tcp/80-5001: new cut
        ",
    );
}
