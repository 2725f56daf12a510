//! The connection table: who fills it harms nobody else.

use std::{
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use test_kit::{
    topology::{Layout, Netns, Pod},
    traffic::{Echo, PORT, Protocol, ask, probe, send_all},
};

use super::from_underlay;
use crate::{policy::town, support::address};

/// A table that a test fills within seconds.
const SMALL: &[&str] = &["--conntrack-entries", "4096"];
/// Everything is allowed, and isolates: each connection needs its entry.
const ALL: &str = "podSelector: {}, ingress: [{}], egress: [{}]";

/// A SYN to a pod from an address of nobody's.
fn syn(macs: ([u8; 6], [u8; 6]), number: u32, to: Ipv4Addr) -> Result<Vec<u8>> {
    let from = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + number);
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(macs.0, macs.1)
        .ipv4(from.octets(), to.octets(), 64)
        .tcp(1024, PORT, 1, 1024)
        .syn()
        .write(&mut frame, &[])?;
    Ok(frame)
}

/// Sends a datagram each from many ports, to a pod that answers none.
fn fill(from: &Pod, to: IpAddr, flows: u16) -> Result<()> {
    from.netns.enter(|| -> Result<()> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for port in 0..flows {
            socket.send_to(b"x", (to, 10_000 + port))?;
        }
        Ok(())
    })?
}

/// That one reaches another, which answers already.
fn reaches(from: &Netns, to: &Pod, what: &str) -> Result<()> {
    for address in &to.addresses {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            probe(from, *address, protocol).with_context(|| format!("{what}, {protocol:?} to {address}"))?;
        }
    }
    Ok(())
}

#[test]
fn forged_beginnings_keep_a_pod_neither_from_its_friends_nor_from_its_node() {
    town::within(&Layout { arguments: SMALL, ..Layout::default() }, |town| {
        let (victim, friend) = (town.pod("x/victim", 1, "app: victim")?, town.pod("x/friend", 2, "app: friend")?);
        town.policies(&[("x/all", ALL)])?;
        town.settle()?;
        let _servers = [Echo::start(&victim.netns, &victim.addresses)?, Echo::start(&friend.netns, &friend.addresses)?];
        reaches(&friend.netns, &victim, "before")?;
        let node = town.node(1);
        let macs = from_underlay(town.cluster, node)?;
        let IpAddr::V4(to) = address(&victim, true)? else { unreachable!("asked for IPv4") };
        let frames = (0..12_000).map(|number| syn(macs, number, to)).collect::<Result<Vec<_>>>()?;
        let sent = send_all(&town.cluster.underlay.netns, "br0", &frames)?;
        ensure!(sent > 8192, "only {sent} were sent");
        reaches(&friend.netns, &victim, "a friend to the victim")?;
        reaches(&victim.netns, &friend, "the victim to a friend")?;
        reaches(&node.netns, &victim, "the node to the victim")?;
        let shares = node.ferrule("map dump fr_shares")?;
        ensure!(shares.as_array().is_some_and(|shares| !shares.is_empty()), "{shares}");
        Ok(())
    });
}

#[test]
fn one_namespace_leaves_room_for_the_others() {
    town::within(&Layout { arguments: SMALL, nodes: 1, ..Layout::default() }, |town| {
        let greedy = ["a", "b", "c", "d"].map(|name| town.pod(&format!("greedy/{name}"), 1, "app: greedy"));
        let greedy: Vec<Pod> = greedy.into_iter().collect::<Result<_>>()?;
        let (one, two) = (town.pod("x/one", 1, "app: one")?, town.pod("x/two", 1, "app: two")?);
        town.policies(&[("x/all", ALL), ("greedy/all", ALL)])?;
        town.settle()?;
        let _server = Echo::start(&two.netns, &two.addresses)?;
        let listener = one.netns.enter(|| TcpListener::bind(("0.0.0.0", 81)))??;
        for (from, to) in greedy.iter().zip(greedy.iter().cycle().skip(1)) {
            fill(from, address(to, true)?, 4000)?;
        }
        let node = town.node(1);
        ensure!(node.count("from_pod", "conntrack-share")? > 0, "nobody was refused anything");
        // More than the reserve.
        let mut held = Vec::new();
        for _ in 0..300 {
            let to = (address(&one, true)?, 81).into();
            let stream = two.netns.enter(|| std::net::TcpStream::connect_timeout(&to, Duration::from_secs(3)))?;
            held.push((stream.with_context(|| format!("connection {}", held.len()))?, listener.accept()?));
        }
        reaches(&one.netns, &two, "one to two")?;
        ask(&node.netns, (address(&two, true)?, PORT).into(), Protocol::Tcp)?;
        let tenants = node.ferrule("map dump fr_tenants")?;
        let pooled: Vec<u64> =
            tenants.as_array().into_iter().flatten().filter_map(|row| row["pooled"].as_str()?.parse().ok()).collect();
        ensure!(pooled.iter().all(|pooled| *pooled < 4096), "{tenants}");
        Ok(())
    });
}
