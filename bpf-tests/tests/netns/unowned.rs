//! Addresses of the cluster that nobody owns.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use test_kit::{
    topology::{Layout, Routing},
    traffic::{Ping, receive},
};

use crate::support::within;

fn check(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let pod = cluster.nodes[0].add("a")?;
        // Of no node's pod CIDR; of the own node's; of the other node's, which answers for its own.
        for address in ["10.244.9.9", "fd00:244:9::9", "10.244.1.77", "fd00:244:1::77", "10.244.2.77", "fd00:244:2::77"]
        {
            let address = address.parse()?;
            let ask = || -> Result<()> {
                is_unreachable(Ping::to(address).once(&pod.netns))?;
                is_unreachable(Ping::to(address).once(&cluster.nodes[0].netns))
            };
            let seen = receive(&cluster.underlay.netns, "n1", ask)?;
            let escaped = seen.iter().filter(|frame| is_to(frame, address)).count();
            // The other node's own addresses travel to it natively, and it answers; nothing else leaves.
            let to_owner = routing == Routing::Native && owner_is_n2(address);
            ensure!(escaped == 0 || to_owner, "{escaped} packets to {address} left the node as they were");
        }
        Ok(())
    });
}

/// Whether a ping was answered by an ICMP error, or refused by the sender's own stack.
fn is_unreachable(answer: Result<Duration>) -> Result<()> {
    let Err(error) = answer else { bail!("somebody answered") };
    let text = error.to_string().to_lowercase();
    ensure!(text.contains("unreachable") || text.contains("no route to host"), "{text}");
    Ok(())
}

fn owner_is_n2(address: std::net::IpAddr) -> bool {
    let text = address.to_string();
    text.starts_with("10.244.2.") || text.starts_with("fd00:244:2:")
}

/// Whether a frame's network header is addressed so.
fn is_to(frame: &[u8], address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(ip) => frame.get(12..14) == Some(&[8, 0]) && frame.get(30..34) == Some(&ip.octets()),
        std::net::IpAddr::V6(ip) => frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(38..54) == Some(&ip.octets()),
    }
}

#[test]
fn are_unreachable_and_never_leave_by_vxlan() {
    check(Routing::Vxlan);
}

#[test]
fn are_unreachable_and_never_leave_by_native_routing() {
    check(Routing::Native);
}
