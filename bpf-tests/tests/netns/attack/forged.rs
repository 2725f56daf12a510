//! Addresses that are not the sender's: from a device that leads to no other node, from the nodes' link.

use anyhow::{Result, ensure};
use test_kit::{
    topology::{Cluster, Layout, Node, Pod, Routing, until},
    traffic::send,
};

use super::{Guest, PAYLOAD, from_underlay, gets, own, udp, unused};
use crate::support::{address, within};

const VXLAN: u16 = 8472;

/// Pods of both nodes.
struct Pods {
    a: Pod,
    b: Pod,
    far: Pod,
    other: Pod,
}

impl Pods {
    fn add(cluster: &Cluster) -> Result<Self> {
        let [near, far] = [&cluster.nodes[0], &cluster.nodes[1]];
        Ok(Self { a: near.add("a")?, b: near.add("b")?, far: far.add("far")?, other: far.add("other")? })
    }
}

/// Waits for the programs of a device that has just come.
fn guarded(node: &Node, device: &str) -> Result<()> {
    let there = || {
        let shown = node.ferrule("status").unwrap_or_default();
        shown["otherDevices"].as_array().into_iter().flatten().any(|name| name == device)
    };
    until(&format!("programs on {device}"), there, |there| *there).map(drop)
}

fn from_a_guest(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let pods = Pods::add(cluster)?;
        let guest = Guest::behind(node)?;
        guarded(node, "guests")?;
        for v4 in [true, false] {
            let [a, b, far] = [address(&pods.a, v4)?, address(&pods.b, v4)?, address(&pods.far, v4)?];
            let other = address(&pods.other, v4)?;
            let throw = |from, to| send(&guest.netns, "eth0", &udp(guest.macs, from, to, 53, PAYLOAD)?);
            // Its own address reaches pods: what follows is not lost for another reason.
            let own_address = guest.addresses[usize::from(!v4)];
            ensure!(gets(&pods.b, || throw(own_address, b))?, "the guest itself does not reach b, IPv4 {v4}");
            for from in [a, far, other, unused(&cluster.nodes[1], v4)?] {
                ensure!(!gets(&pods.b, || throw(from, b))?, "{from} by a guest reached {b}");
            }
            for from in [a, b, other, unused(&cluster.nodes[1], v4)?, own(node, false)?, own(node, true)?] {
                if from.is_ipv4() == v4 {
                    ensure!(!gets(&pods.far, || throw(from, far))?, "{from} by a guest reached {far}");
                }
            }
        }
        Ok(())
    });
}

#[test]
fn a_device_that_leads_to_no_node_carries_nobodys_address_by_vxlan() {
    from_a_guest(Routing::Vxlan);
}

#[test]
fn a_device_that_leads_to_no_node_carries_nobodys_address_by_native_routing() {
    from_a_guest(Routing::Native);
}

#[test]
fn a_node_is_no_router_for_hosts_on_its_link() {
    within(&Layout::default(), |cluster| {
        let node = &cluster.nodes[0];
        let pods = Pods::add(cluster)?;
        let macs = from_underlay(cluster, node)?;
        for v4 in [true, false] {
            let [a, far] = [address(&pods.a, v4)?, address(&pods.far, v4)?];
            for port in [53, VXLAN] {
                for from in [a, unused(node, v4)?, address(&pods.other, v4)?, own(node, v4)?] {
                    for (pod, to) in [(&pods.far, far), (&pods.b, address(&pods.b, v4)?)] {
                        let frame = udp(macs, from, to, port, PAYLOAD)?;
                        let reached = gets(pod, || send(&cluster.underlay.netns, "br0", &frame))?;
                        ensure!(!reached, "{from} from the link reached {to} on port {port}");
                    }
                }
            }
        }
        Ok(())
    });
}
