//! Which backends a Service's ports have: a rule of the API a test.

use super::{LIMITS, text::objects};
use crate::service::{Engine, Found, shared_with_pods};

/// What every frontend leads to, and the issues, from these objects.
#[track_caller]
fn check(text: &str, frontends: &[&str], issues: &[&str]) {
    let (engine, _) = Engine::new(LIMITS, "a", &Found::default());
    check_by(engine, text, frontends, issues);
}

/// The same where these objects are files.
#[track_caller]
fn check_files(text: &str, frontends: &[&str], issues: &[&str]) {
    let (mut engine, _) = Engine::new(LIMITS, "a", &Found::default());
    engine.follow_distribution();
    check_by(engine, text, frontends, issues);
}

#[track_caller]
fn check_by(mut engine: Engine, text: &str, frontends: &[&str], issues: &[&str]) {
    let objects = objects(text);
    engine.begin(&objects);
    let expected = engine.expected();
    let shown: Vec<String> = expected
        .ports
        .iter()
        .map(|(frontend, port)| {
            let backends = expected.sets.get(&port.set).map(|set| set.backends.iter()).into_iter().flatten();
            let backends: Vec<_> =
                backends.map(|one| std::net::SocketAddr::new(one.address, one.port).to_string()).collect();
            let affinity = port.affinity.map_or_else(String::new, |seconds| format!(" for {seconds} s"));
            format!(
                "{frontend} → {}{affinity}",
                if backends.is_empty() { "refused".into() } else { backends.join(" ") }
            )
        })
        .collect();
    assert_eq!(shown, frontends, "{text}");
    let mut found = engine.issues(false);
    found.extend(shared_with_pods(&objects, |address| engine.service_at(address)));
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), issues, "{text}");
}

#[test]
fn every_port_of_every_family_leads_to_the_endpoints_of_that_name_and_protocol() {
    check(
        "service web 10.96.0.1,fd01::1 80:http/tcp 53:dns/udp
         slice web-4 web 8080:http/tcp,5353:dns/udp 10.1.0.7 10.1.0.8
         slice web-6 web 8080:http/tcp fd00::7
         slice other other 1:http/tcp 10.1.0.9
         slice nobody - 1:http/tcp 10.1.0.9",
        &[
            "10.96.0.1:53 UDP → 10.1.0.7:5353 10.1.0.8:5353",
            "10.96.0.1:80 TCP → 10.1.0.7:8080 10.1.0.8:8080",
            "[fd01::1]:53 UDP → refused",
            "[fd01::1]:80 TCP → [fd00::7]:8080",
        ],
        &[],
    );
}

#[test]
fn slices_may_name_other_ports_for_one_name_and_none_at_all() {
    check(
        "service web 10.96.0.1 80:http/tcp
         slice web-old web 8080:http/tcp 10.1.0.7
         slice web-new web 9090:http/tcp 10.1.0.8
         slice web-any web -:http/tcp 10.1.0.9",
        &["10.96.0.1:80 TCP → 10.1.0.7:8080 10.1.0.8:9090 10.1.0.9:80"],
        &[],
    );
}

#[test]
fn a_service_without_endpoints_is_refused_and_one_without_an_address_is_left_alone() {
    check(
        "service web 10.96.0.1 80/tcp
         service headless - 80/tcp
         slice headless-x headless 80/tcp 10.1.0.7",
        &["10.96.0.1:80 TCP → refused"],
        &[],
    );
}

#[test]
fn only_ready_endpoints_serve_while_there_are_any_and_else_those_that_end_and_still_serve() {
    let service = "service web 10.96.0.1 80/tcp\n";
    check(
        &format!("{service} slice s web 80/tcp 10.1.0.7 10.1.0.8+unready 10.1.0.9+ending 10.1.0.10+ended"),
        &["10.96.0.1:80 TCP → 10.1.0.7:80"],
        &[],
    );
    check(
        &format!("{service} slice s web 80/tcp 10.1.0.8+unready 10.1.0.9+ending 10.1.0.10+ended"),
        &["10.96.0.1:80 TCP → 10.1.0.9:80"],
        &[],
    );
    check(&format!("{service} slice s web 80/tcp 10.1.0.8+unready"), &["10.96.0.1:80 TCP → refused"], &[]);
}

#[test]
fn an_endpoint_that_stands_in_two_slices_counts_once_and_as_the_better_one() {
    check(
        "service web 10.96.0.1 80/tcp
         slice one web 80/tcp 10.1.0.7+unready 10.1.0.8
         slice two web 80/tcp 10.1.0.7 10.1.0.8+ending",
        &["10.96.0.1:80 TCP → 10.1.0.7:80 10.1.0.8:80"],
        &[],
    );
}

#[test]
fn an_internal_policy_of_local_leads_to_this_node_alone() {
    let check = |endpoints: &str, expected: &str| {
        let text = format!("service web 10.96.0.1 80/tcp local\nslice s web 80/tcp {endpoints}");
        check(&text, &[&format!("10.96.0.1:80 TCP → {expected}")], &[]);
    };
    check("10.1.0.7+on=a 10.2.0.7+on=b", "10.1.0.7:80");
    check("10.2.0.7+on=b 10.2.0.8", "refused");
    check("10.1.0.7+on=a+ending 10.2.0.7+on=b", "10.1.0.7:80");
    check("10.1.0.7+on=a+unready 10.1.0.8+on=a+zones=z2", "10.1.0.8:80");
}

#[test]
fn hints_count_where_every_ready_endpoint_has_them_and_one_is_for_here() {
    let check = |endpoints: &str, expected: &str| {
        let text = format!("service web 10.96.0.1 80/tcp\nslice s web 80/tcp {endpoints}");
        check(&text, &[&format!("10.96.0.1:80 TCP → {expected}")], &[]);
    };
    check("10.1.0.7+zones=z1 10.2.0.7+zones=z2|z1 10.3.0.7+zones=z3", "10.1.0.7:80 10.2.0.7:80");
    check("10.1.0.7+zones=z1 10.2.0.7", "10.1.0.7:80 10.2.0.7:80");
    check("10.2.0.7+zones=z2 10.3.0.7+zones=z3", "10.2.0.7:80 10.3.0.7:80");
    check("10.1.0.7+zones=z1 10.2.0.7+unready", "10.1.0.7:80");
    // Those for nodes come first.
    check("10.1.0.7+zones=z1+nodes=a 10.2.0.7+zones=z1+nodes=b", "10.1.0.7:80");
    check("10.1.0.7+zones=z1+nodes=c 10.2.0.7+zones=z2+nodes=b", "10.1.0.7:80");
    check("10.1.0.7+zones=z1+ending 10.2.0.7+zones=z2+ending", "10.1.0.7:80 10.2.0.7:80");
}

#[test]
fn a_preferred_distribution_is_followed_in_files_that_have_no_hints() {
    let check = |wanted: &str, endpoints: &str, expected: &str| {
        let text = format!("service web 10.96.0.1 80/tcp {wanted}\nslice s web 80/tcp {endpoints}");
        check_files(&text, &[&format!("10.96.0.1:80 TCP → {expected}")], &[]);
    };
    let endpoints = "10.1.0.7+on=a+in=z1 10.2.0.7+on=b+in=z1 10.3.0.7+on=c+in=z2";
    check("same-zone", endpoints, "10.1.0.7:80 10.2.0.7:80");
    check("same-node", endpoints, "10.1.0.7:80");
    check("same-node", "10.2.0.7+on=b+in=z1 10.3.0.7+on=c+in=z2", "10.2.0.7:80");
    check("same-zone", "10.3.0.7+on=c+in=z2 10.4.0.7", "10.3.0.7:80 10.4.0.7:80");
    check("same-zone", "10.1.0.7+in=z1 10.3.0.7+in=z2+zones=z2", "10.1.0.7:80 10.3.0.7:80");
}

#[test]
fn where_a_cluster_withholds_its_hints_all_endpoints_serve() {
    let endpoints = "10.1.0.7+on=a+in=z1 10.3.0.7+on=c+in=z2";
    for wanted in ["same-zone", "same-node"] {
        let text = format!("service web 10.96.0.1 80/tcp {wanted}\nslice s web 80/tcp {endpoints}");
        check(&text, &["10.96.0.1:80 TCP → 10.1.0.7:80 10.3.0.7:80"], &[]);
    }
}

#[test]
fn affinity_stands_beside_the_backends() {
    check(
        "service web 10.96.0.1 80/tcp affinity:60\nslice s web 80/tcp 10.1.0.7",
        &["10.96.0.1:80 TCP → 10.1.0.7:80 for 60 s"],
        &[],
    );
}

#[test]
fn anothers_proxys_services_are_left_alone() {
    check("service web 10.96.0.1 80/tcp proxy:other\nslice s web 80/tcp 10.1.0.7", &[], &[]);
}

#[test]
fn of_two_services_with_one_address_the_elder_has_it() {
    check(
        "service young 10.96.0.1,fd01::2 80/tcp created:2
         service old 10.96.0.1 90/tcp created:1
         slice y young 80/tcp 10.1.0.7
         slice o old 90/tcp 10.1.0.8",
        &["10.96.0.1:90 TCP → 10.1.0.8:90", "[fd01::2]:80 TCP → refused"],
        &[
            "Service n/young: spec.clusterIPs: 10.96.0.1 is the address of Service n/old too, which is older and has it; give this one another",
        ],
    );
}

#[test]
fn an_address_that_a_pod_has_is_told() {
    check(
        "service web 10.1.0.7 80/tcp\npod web-0 10.1.0.7",
        &["10.1.0.7:80 TCP → refused"],
        &[
            "Service n/web: spec.clusterIPs: 10.1.0.7 is also an address of Pod n/web-0, which sockets cannot reach; keep Services' CIDR and pods' CIDRs apart",
        ],
    );
}

#[test]
fn sctp_is_told_where_nobody_serves_it() {
    check(
        "service web 10.96.0.1 80/sctp",
        &[],
        &[
            "Service n/web: spec.ports: port 80 is SCTP, which is not translated at the socket and needs kube-proxy, which does not run here",
        ],
    );
}
