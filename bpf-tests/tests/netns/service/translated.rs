//! Beside somebody else's translation to the other node, without masquerading: kube-proxy's of a ClusterIP where Services are
//! off, and of a load balancer's or an external address. Answers come by the name that was asked.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Layout, Node, Routing},
    traffic::Named,
};

use super::{
    client::{ask, ask_loose, connected, loose, tcp},
    shop::{LISTENS, PORT, Shop, V4, V6, feed},
};
use crate::support::within;

/// Nobody's (RFC 5737, RFC 3849): as a load balancer would have them.
const OUTSIDE: [&str; 2] = ["203.0.113.10", "2001:db8::10"];
/// What a process of the other node listens at.
const OF_NODE: u16 = 8081;

/// Lets addresses lead to backends, whoever asks.
fn translate(node: &Node, from: &[SocketAddr], to: &[IpAddr], port: u16) -> Result<()> {
    let mut rules = String::new();
    for from in from {
        let (family, table) = if from.is_ipv4() { ("ip", "v4") } else { ("ip6", "v6") };
        let to = to.iter().find(|to| to.is_ipv4() == from.is_ipv4()).context("no backend of the family")?;
        rules += &format!(
            "table {family} {table} {{\n}}\ndelete table {family} {table}\ntable {family} {table} {{\n\
             chain pre {{ type nat hook prerouting priority dstnat;\n\
             {family} daddr {} meta l4proto {{ tcp, udp }} th dport {} dnat to {}; }}\n}}\n",
            from.ip(),
            from.port(),
            SocketAddr::new(*to, port)
        );
    }
    feed(&node.netns, "nft", &["-f", "-"], &rules)
}

/// Asks as a process does that no socket program sees.
fn answered(shop: &Shop<'_>, to: SocketAddr, by: &str) -> Result<()> {
    let client = &shop.clients[0].netns;
    for (how, answer) in [
        ("TCP", client.enter(|| tcp(to))?),
        ("UDP", client.enter(|| ask(&connected(to)?))?),
        ("UDP without connect", client.enter(|| ask_loose(&loose(to)?, to))?),
    ] {
        let answer = answer.with_context(|| format!("{how} to {to}, which leads to {by}"))?;
        ensure!(answer.name == by && answer.from == to, "{how} to {to}: {answer:?} is not {by}'s");
    }
    Ok(())
}

fn check(routing: Routing, addresses: [&str; 2], arguments: &'static [&'static str]) {
    within(&Layout { routing, arguments, ..Layout::default() }, |cluster| {
        let shop = Shop::new(cluster)?;
        let (own, other) = (shop.node(0), shop.node(1));
        let _of_node = Named::start(&other.netns, &other.addresses, OF_NODE, "the other node")?;
        let asked = addresses.map(|ip| SocketAddr::new(ip.parse().expect("an address"), PORT));
        let backends = [
            ("b", shop.endpoints(&[("b", "")]).into_iter().map(|(ip, _)| ip).collect::<Vec<_>>(), LISTENS),
            ("c", shop.endpoints(&[("c", "")]).into_iter().map(|(ip, _)| ip).collect(), LISTENS),
            ("the other node", other.addresses.clone(), OF_NODE),
        ];
        for (name, ips, port) in &backends {
            translate(own, &asked, ips, *port)?;
            asked.iter().try_for_each(|to| answered(&shop, *to, name))?;
        }
        Ok(())
    });
}

#[test]
fn an_address_outside_is_answered_by_its_name_by_vxlan() {
    check(Routing::Vxlan, OUTSIDE, &[]);
}

#[test]
fn an_address_outside_is_answered_by_its_name_by_native_routing() {
    check(Routing::Native, OUTSIDE, &[]);
}

#[test]
fn a_cluster_ip_is_kube_proxys_where_services_are_off_by_vxlan() {
    check(Routing::Vxlan, [V4, V6], &["--services", "off"]);
}

#[test]
fn a_cluster_ip_is_kube_proxys_where_services_are_off_by_native_routing() {
    check(Routing::Native, [V4, V6], &["--services", "off"]);
}
