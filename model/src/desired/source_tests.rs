//! Which address a node speaks from, and whose others are believed, one rule a test.

use std::net::IpAddr;

use super::{
    tests::{compute, world},
    *,
};

/// Node `a` with these InternalIPs, and `b`, which is reached by device 2.
fn two(own: &str, rest: &str) -> String {
    format!("node a {own} 10.0.1.0/24\nnode b 192.0.2.2 10.0.2.0/24\npath 192.0.2.2 192.0.2.2 2 1500 {rest}")
}

/// The outer source of what goes to `b`, and what the host sends to its own pods from.
fn check(words: &str, outer: Option<&str>, host: Option<&str>) {
    let desired = compute(&world(words)).unwrap();
    let found = desired.remote.nodes.values().next().expect("an entry").source;
    let text = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string());
    assert_eq!((text(found).as_deref(), text(desired.host_sources[0]).as_deref()), (outer, host), "{words}");
    let routes: Vec<_> =
        desired.routes.values().filter(|route| matches!(route.kind, RouteKind::Overlay { .. })).collect();
    let by_route = |route: &&&KernelRoute| matches!(route.kind, RouteKind::Overlay { source, .. } if source == found);
    assert!(routes.iter().all(|route| by_route(&route)) && routes.len() == 1, "{routes:?}");
}

#[test]
fn the_source_is_the_first_internal_ip_of_the_tunnels_family() {
    check(&two("192.0.2.1,192.0.2.11", ""), Some("192.0.2.1"), Some("192.0.2.1"));
    let v6 =
        "node a 192.0.2.1,2001:db8::1 10.0.1.0/24\nnode b 2001:db8::2 10.0.2.0/24\npath 2001:db8::2 2001:db8::2 2 1500";
    check(v6, Some("2001:db8::1"), Some("192.0.2.1"));
}

#[test]
fn what_the_kernel_would_take_counts_where_it_is_an_internal_ip_and_the_paths_device_has_none() {
    check(&two("192.0.2.1", "source 192.0.2.99"), Some("192.0.2.1"), Some("192.0.2.1"));
    let loopback = "node a 192.0.2.1,192.0.2.11 10.0.1.0/24 away\nlocal 192.0.2.1 1\nlocal 192.0.2.11 1\nnode b 192.0.2.2 \
                    10.0.2.0/24\npath 192.0.2.2 192.0.2.2 2 1500 source 192.0.2.11";
    check(loopback, Some("192.0.2.11"), Some("192.0.2.1"));
}

#[test]
fn the_device_that_leads_there_speaks_from_its_own_internal_ip() {
    let text = "node a 192.0.2.1,198.51.100.1 10.0.1.0/24 away\nlocal 192.0.2.1 2\nlocal 198.51.100.1 3\n\
                node b 198.51.100.2 10.0.2.0/24\npath 198.51.100.2 198.51.100.2 3 1500";
    check(text, Some("198.51.100.1"), Some("192.0.2.1"));
}

#[test]
fn where_no_device_has_an_internal_ip_the_kernel_chooses() {
    let text = "node a 192.0.2.1 10.0.1.0/24 away\nlocal 192.0.2.77 2\nnode b 192.0.2.2 10.0.2.0/24\n\
                path 192.0.2.2 192.0.2.2 2 1500";
    check(text, None, None);
}

#[test]
fn a_kernel_that_takes_no_source_is_told_where_it_errs_only() {
    check(&two("192.0.2.1,192.0.2.11", "source 192.0.2.11\nkernel-chooses"), None, Some("192.0.2.1"));
    check(&two("192.0.2.1", "source 192.0.2.99\nkernel-chooses"), Some("192.0.2.1"), Some("192.0.2.1"));
}

#[test]
fn a_new_internal_ip_speaks_once_others_know_it() {
    let renumbered = "\nlocal 192.0.2.1 2\nformer 192.0.2.1 a\nyoung 192.0.2.11";
    check(&two("192.0.2.11", renumbered), Some("192.0.2.1"), Some("192.0.2.1"));
    // Known, or the former one is gone.
    check(&two("192.0.2.11", "\nlocal 192.0.2.1 2\nformer 192.0.2.1 a"), Some("192.0.2.11"), Some("192.0.2.11"));
    check(&two("192.0.2.11", "\nformer 192.0.2.1 a\nyoung 192.0.2.11"), Some("192.0.2.11"), Some("192.0.2.11"));
    check(&two("192.0.2.11,192.0.2.1", "\nyoung 192.0.2.11"), Some("192.0.2.1"), Some("192.0.2.1"));
}

/// The node of a peer, as its name.
fn peer(text: &str, address: &str) -> Option<String> {
    let desired = compute(&world(text)).unwrap();
    let peer = desired.remote.peers.get(&address.parse::<IpAddr>().unwrap())?;
    assert_eq!(peer.kind, PeerKind::Node);
    Some(desired.node_names.get(&peer.node).map_or("a".to_owned(), ToString::to_string))
}

#[test]
fn a_former_internal_ip_stays_the_nodes_unless_it_is_somebodys() {
    let text = |rest: &str| two("192.0.2.1", &format!("\nformer 192.0.2.22 b\n{rest}"));
    assert_eq!(peer(&text(""), "192.0.2.22").as_deref(), Some("b"));
    assert_eq!(peer(&text("local 192.0.2.22 2"), "192.0.2.22"), None, "this node's own");
    assert_eq!(peer(&text("lease 192.0.2.22"), "192.0.2.22"), None, "a pod's of this node");
    assert_eq!(peer(&text("node c 192.0.2.3 192.0.2.16/28"), "192.0.2.22"), None, "in another's pod CIDR");
    let own = |rest: &str| two("192.0.2.1", &format!("\nformer 192.0.2.11 a\n{rest}"));
    assert_eq!(peer(&own("local 192.0.2.11 2"), "192.0.2.11").as_deref(), Some("a"));
    assert_eq!(peer(&own(""), "192.0.2.11"), None, "no device has it any more");
}

#[test]
fn all_internal_ips_of_a_node_are_the_nodes() {
    let text = "node a 192.0.2.1 10.0.1.0/24\nnode b 192.0.2.2,192.0.2.22 10.0.2.0/24\npath 192.0.2.2 192.0.2.2 2 1500";
    assert_eq!(peer(text, "192.0.2.2"), peer(text, "192.0.2.22"));
    assert_eq!(peer(text, "192.0.2.22").as_deref(), Some("b"));
}
