//! Who asks whom: pure. Every pair stands for a way that packets take, and says what to look at where that way is broken.

use std::net::{IpAddr, SocketAddr};

use super::{ask::Question, objects::SERVICE, serve::PORT};

/// A pod of the test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub pod: String,
    pub node: String,
    pub host: bool,
    pub ips: Vec<IpAddr>,
}

/// All that the test asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct World {
    pub namespace: String,
    pub places: Vec<Place>,
    pub service: Vec<IpAddr>,
}

/// A question, who asks it, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub by: String,
    pub check: &'static str,
    pub subject: String,
    pub question: Question,
    pub fix: String,
}

/// Every question.
pub(super) fn questions(world: &World) -> Vec<Asked> {
    let servers: Vec<&Place> = world.places.iter().filter(|place| !place.host).collect();
    let mut all = Vec::new();
    for from in &world.places {
        let others = servers.iter().filter(|to| to.pod != from.pod);
        for to in others {
            all.extend(ways(from, to));
        }
        all.extend(service(world, from, &servers));
    }
    all.extend(servers.iter().flat_map(|from| names(world, from)));
    all
}

fn ways(from: &Place, to: &Place) -> Vec<Asked> {
    let near = from.node == to.node;
    let (check, fix) = match (from.host, near) {
        (false, true) => ("same node", format!("`ferrule doctor` and `ferrule monitor` on {}", from.node)),
        (false, false) => (
            "other node",
            format!(
                "`ferrule doctor` on {} and {}; between nodes, firewalls have to let the overlay's UDP port pass (8472 unless \
                 vxlanPort says otherwise), or pods' addresses with native routing",
                from.node, to.node
            ),
        ),
        (true, true) => ("host to pod", format!("`ferrule doctor` on {}, and its own firewall's output", from.node)),
        (true, false) => (
            "host to pod",
            format!("`ferrule doctor` on {} and {}: routes to pod CIDRs, and rp_filter", from.node, to.node),
        ),
    };
    let from_name = if from.host { format!("node {}", from.node) } else { format!("pod on {}", from.node) };
    let to_name = format!("pod on {}", to.node);
    let names = vec![to.pod.clone()];
    let asked = |ip: &IpAddr, udp: bool| {
        let address = SocketAddr::new(*ip, PORT);
        let names = names.clone();
        let question = if udp { Question::Udp { to: address, names } } else { Question::Tcp { to: address, names } };
        let subject = format!("{from_name} → {to_name}, {} {}", if udp { "UDP" } else { "TCP" }, family(*ip));
        Asked { by: from.pod.clone(), check, subject, question, fix: fix.clone() }
    };
    to.ips.iter().flat_map(|ip| [asked(ip, false), asked(ip, true)]).collect()
}

fn service(world: &World, from: &Place, servers: &[&Place]) -> Vec<Asked> {
    let names: Vec<String> = servers.iter().map(|place| place.pod.clone()).collect();
    let who = if from.host { format!("node {}", from.node) } else { format!("pod on {}", from.node) };
    let asked = |ip: &IpAddr, udp: bool| {
        let (to, names) = (SocketAddr::new(*ip, PORT), names.clone());
        let question = if udp { Question::Udp { to, names } } else { Question::Tcp { to, names } };
        Asked {
            by: from.pod.clone(),
            check: "Service",
            subject: format!("{who} → ClusterIP, {} {}", if udp { "UDP" } else { "TCP" }, family(*ip)),
            question,
            fix: format!(
                "on {}: `ferrule status` says whether Services are translated and for which cgroup (cgroupRoot), `ferrule \
                 service list` which there are; with services=off kube-proxy has to run",
                from.node
            ),
        }
    };
    world.service.iter().flat_map(|ip| [asked(ip, false), asked(ip, true)]).collect()
}

fn names(world: &World, from: &Place) -> Vec<Asked> {
    let asked = |ip: &IpAddr, tcp: bool| Asked {
        by: from.pod.clone(),
        check: "DNS",
        subject: format!("pod on {}, by {}, {}", from.node, if tcp { "TCP" } else { "UDP" }, family(*ip)),
        question: Question::Dns {
            service: format!("{SERVICE}.{}", world.namespace),
            tcp,
            v6: ip.is_ipv6(),
            address: *ip,
        },
        fix: "see whether the name server's pods run and are ready, and whether policies let them be asked".into(),
    };
    world.service.iter().flat_map(|ip| [asked(ip, false), asked(ip, true)]).collect()
}

const fn family(ip: IpAddr) -> &'static str {
    if ip.is_ipv6() { "IPv6" } else { "IPv4" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn place(pod: &str, node: &str, host: bool, ips: &[&str]) -> Place {
        let ips = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Place { pod: pod.into(), node: node.into(), host, ips }
    }

    fn counted(places: Vec<Place>, service: &[&str]) -> BTreeMap<&'static str, usize> {
        let service = service.iter().map(|ip| ip.parse().unwrap()).collect();
        let mut counts = BTreeMap::new();
        for asked in questions(&World { namespace: "t".into(), places, service }) {
            *counts.entry(asked.check).or_default() += 1;
        }
        counts
    }

    #[test]
    fn every_way_is_asked_about_in_both_families_and_protocols() {
        let places = vec![
            place("a", "n1", false, &["10.0.1.1", "fd00::1:1"]),
            place("b", "n1", false, &["10.0.1.2", "fd00::1:2"]),
            place("c", "n2", false, &["10.0.2.1", "fd00::2:1"]),
            place("h1", "n1", true, &["192.0.2.1"]),
            place("h2", "n2", true, &["192.0.2.2"]),
        ];
        let counts = counted(places, &["10.96.0.1", "fd00:96::1"]);
        // Pairs by two families and two protocols; pods and nodes by the same for the Service.
        let expected =
            [("DNS", 3 * 4), ("Service", 5 * 4), ("host to pod", 6 * 4), ("other node", 4 * 4), ("same node", 2 * 4)];
        assert_eq!(counts, expected.into_iter().collect());
    }

    #[test]
    fn a_cluster_of_one_node_and_one_family_has_fewer_ways() {
        let places = vec![
            place("a", "n1", false, &["10.0.1.1"]),
            place("b", "n1", false, &["10.0.1.2"]),
            place("h1", "n1", true, &["192.0.2.1"]),
        ];
        let expected = [("DNS", 4), ("Service", 6), ("host to pod", 4), ("same node", 4)];
        assert_eq!(counted(places, &["10.96.0.1"]), expected.into_iter().collect());
    }

    #[test]
    fn every_question_says_what_to_look_at() {
        let places = vec![place("a", "n1", false, &["10.0.1.1"]), place("c", "n2", false, &["10.0.2.1"])];
        let all = questions(&World { namespace: "t".into(), places, service: vec![] });
        assert!(
            all.iter().all(|asked| asked.check == "other node" && asked.fix.contains("on n1 and n2")
                || asked.fix.contains("on n2 and n1")),
            "{all:?}"
        );
    }
}
