//! Forged ICMP errors: nobody makes the ways between nodes, or a pod's, narrower than they are.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use etherparse::PacketBuilder;
use test_kit::{
    topology::{Families, Layout, Netns},
    traffic::{Ping, send},
};

use super::{from_underlay, own, udp};
use crate::support::{address, within};

const VXLAN: u16 = 8472;

/// "Too large" from one to another, about a packet that is quoted from its IP header on.
fn too_large(macs: ([u8; 6], [u8; 6]), from: IpAddr, to: IpAddr, mtu: u16, quoted: &[u8]) -> Result<Vec<u8>> {
    let ethernet = PacketBuilder::ethernet2(macs.0, macs.1);
    let mut frame = Vec::new();
    let [high, low] = mtu.to_be_bytes();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let builder = ethernet.ipv4(from.octets(), to.octets(), 64).icmpv4_raw(3, 4, [0, 0, high, low]);
            builder.write(&mut frame, quoted)?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let builder = ethernet.ipv6(from.octets(), to.octets(), 64).icmpv6_raw(2, 0, [0, 0, high, low]);
            builder.write(&mut frame, quoted)?;
        }
        _ => anyhow::bail!("{from} and {to} are of different families"),
    }
    Ok(frame)
}

/// An echo request as IP carries it.
fn echo(from: IpAddr, to: IpAddr) -> Result<Vec<u8>> {
    let ethernet = PacketBuilder::ethernet2([2; 6], [2; 6]);
    let mut frame = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ethernet.ipv4(from.octets(), to.octets(), 64).icmpv4_echo_request(7, 1).write(&mut frame, &[0; 32])?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ethernet.ipv6(from.octets(), to.octets(), 64).icmpv6_echo_request(7, 1).write(&mut frame, &[0; 32])?;
        }
        _ => anyhow::bail!("{from} and {to} are of different families"),
    }
    Ok(frame[14..].to_vec())
}

/// That a kernel believes in no smaller MTU towards an address.
fn is_wide(netns: &Netns, to: IpAddr) -> Result<()> {
    let route = netns.ip(&format!("route get {to}"))?;
    ensure!(!route.contains("mtu "), "the way to {to} is narrow by now: {route}");
    Ok(())
}

fn check(underlay: Families) {
    within(&Layout { underlay, ..Layout::default() }, |cluster| {
        let [node, other] = [&cluster.nodes[0], &cluster.nodes[1]];
        let (pod, far) = (node.add("a")?, other.add("far")?);
        let by_pod = (pod.netns.mac("eth0")?, node.netns.mac(&pod.host_link()?)?);
        let by_host = from_underlay(cluster, node)?;
        let reach = || far.addresses.iter().try_for_each(|to| Ping::to(*to).size(1200).once(&pod.netns).map(drop));
        reach()?;
        for v4 in node.addresses.iter().map(IpAddr::is_ipv4) {
            let (here, there) = (own(node, v4)?, own(other, v4)?);
            let (from, stranger) = (address(&pod, v4)?, cluster.underlay.gateways(1));
            let stranger = stranger.into_iter().find(|address| address.is_ipv4() == v4).unwrap_or(there);
            let tunnel = udp(by_host, here, there, VXLAN, &[0; 1400])?[14..].to_vec();
            for quoted in [tunnel, echo(here, there)?] {
                // As much as an error carries: RFC 1812 section 4.3.2.3.
                let quoted = &quoted[..quoted.len().min(548)];
                send(&pod.netns, "eth0", &too_large(by_pod, from, here, 552, quoted)?)?;
                send(&cluster.underlay.netns, "br0", &too_large(by_host, stranger, here, 552, quoted)?)?;
                send(&cluster.underlay.netns, "br0", &too_large(by_host, stranger, here, 1280, quoted)?)?;
            }
            is_wide(&node.netns, there)?;
            // A pod without a policy, about what it never sent.
            let to = address(&far, v4)?;
            for (quoted, whom) in [(echo(from, to)?, to), (echo(from, stranger)?, stranger)] {
                send(&cluster.underlay.netns, "br0", &too_large(by_host, stranger, from, 1280, &quoted)?)?;
                is_wide(&pod.netns, whom)?;
            }
        }
        reach()
    });
}

#[test]
fn nobody_narrows_a_way_that_they_do_not_lie_on() {
    check(Families::Dual);
}

#[test]
fn nobody_narrows_a_way_over_ipv6_alone() {
    check(Families::V6);
}
