//! What the host's NAT makes of a pod's packet: VXLAN in the node's name, a way past its policies, the node's own loopback.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Layout, Node, patience, until},
    traffic::{Echo, PORT, Protocol, ask, receive, send},
};

use super::{Guest, PAYLOAD, nft, own, udp};
use crate::{
    policy::town,
    support::{address, within},
};

/// A port of the node's that leads elsewhere.
const NODE_PORT: u16 = 30_999;
const VXLAN: u16 = 8472;

/// Lets a node's port lead to an address and port, under the node's own address.
fn lead(node: &Node, to: IpAddr, port: u16) -> Result<()> {
    let own = own(node, to.is_ipv4())?;
    let (family, target) =
        if to.is_ipv4() { ("ip", format!("{to}:{port}")) } else { ("ip6", format!("[{to}]:{port}")) };
    nft(
        node,
        &format!(
            "table {family} leads{port} {{\n\
             chain pre {{ type nat hook prerouting priority dstnat; {family} daddr {own} meta l4proto {{ tcp, udp }} \
             th dport {NODE_PORT} dnat to {target}; }}\n\
             chain post {{ type nat hook postrouting priority srcnat; {family} daddr {to} masquerade; }}\n}}\n"
        ),
    )
}

#[test]
fn a_pod_does_not_speak_vxlan_in_its_nodes_name() {
    within(&Layout::default(), |cluster| {
        let [node, other] = [&cluster.nodes[0], &cluster.nodes[1]];
        let (pod, victim) = (node.add("a")?, other.add("victim")?);
        for v4 in [true, false] {
            let (from, to) = (address(&pod, v4)?, address(&victim, v4)?);
            lead(node, own(other, v4)?, VXLAN)?;
            // RFC 7348 section 5: the flag, network 1, and a frame.
            let inner = udp(([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]), from, to, 53, PAYLOAD)?;
            let vxlan = [&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat();
            let socket = pod.netns.enter(|| {
                std::net::UdpSocket::bind((if v4 { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) }, 0))
            })??;
            let before = node.count("to_netdev", "tunnel-from-pod")?;
            let seen = receive(&victim.netns, "eth0", || {
                socket.send_to(&vxlan, (own(node, v4)?, NODE_PORT))?;
                Ok(())
            })?;
            let reached = seen.iter().any(|frame| frame.windows(PAYLOAD.len()).any(|part| part == PAYLOAD));
            ensure!(!reached, "{to} was reached by VXLAN of a pod's");
            let counted = node.count("to_netdev", "tunnel-from-pod")? - before;
            ensure!(counted >= 1, "IPv4 {v4}: nothing was dropped, so that nothing was tried");
        }
        Ok(())
    });
}

#[test]
fn the_nodes_nat_leads_no_pod_past_its_policies_by_whichever_device() {
    town::within(&Layout { nodes: 1, ..Layout::default() }, |town| {
        let node = town.node(1);
        let pod = town.pod("x/a", 1, "app: a")?;
        let guest = Guest::behind(node)?;
        let _server = Echo::start(&guest.netns, &guest.addresses)?;
        for to in guest.addresses {
            lead(node, to, PORT)?;
        }
        let try_all = |reached: bool| -> Result<()> {
            for v4 in [true, false] {
                for protocol in [Protocol::Tcp, Protocol::Udp] {
                    let asked = ask(&pod.netns, (own(node, v4)?, NODE_PORT).into(), protocol);
                    ensure!(asked.is_ok() == reached, "IPv4 {v4}, {protocol:?}: {asked:?}");
                }
            }
            Ok(())
        };
        try_all(true).context("without a policy")?;
        town.policies(&[("x/none", "podSelector: {}, policyTypes: [Egress]")])?;
        town.settle()?;
        until(
            "programs on the guest's device",
            || try_all(false).map_err(|error| format!("{error:#}")),
            Result::is_ok,
        )?
        .map_err(anyhow::Error::msg)?;
        try_all(false).context("nothing may leave")?;
        town.policies(&[(
            "x/some",
            "podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24}}, \
             {ipBlock: {cidr: \"2001:db8:9::/64\"}}]}]",
        )])?;
        town.settle()?;
        try_all(true).context("the guest may be reached")
    });
}

#[test]
fn a_pod_reaches_nothing_that_the_node_keeps_on_its_loopback() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let pod = node.add("a")?;
        let host = pod.host_link()?;
        // As portmap does for ports of 127.0.0.1.
        node.netns.sysctl(&format!("ipv4/conf/{host}/route_localnet"), "1")?;
        let macs = (pod.netns.mac("eth0")?, node.netns.mac(&host)?);
        let socket = node.netns.enter(|| std::net::UdpSocket::bind(("0.0.0.0", PORT)))??;
        socket.set_read_timeout(Some(patience(Duration::from_millis(300))))?;
        let from = address(&pod, true)?;
        for to in ["127.0.0.1", "127.1.2.3", "0.0.0.0"] {
            send(&pod.netns, "eth0", &udp(macs, from, to.parse()?, PORT, PAYLOAD)?)?;
            let got = socket.recv(&mut [0; 64]);
            ensure!(got.is_err(), "{to} was reached");
        }
        send(&pod.netns, "eth0", &udp(macs, from, own(node, true)?, PORT, PAYLOAD)?)?;
        socket.recv(&mut [0; 64]).context("the node itself is not reached")?;
        Ok(())
    });
}
