//! The world beyond the cluster.

use test_kit::{
    topology::{Layout, Routing},
    traffic::{Echo, Ping, Protocol, probe},
};

use crate::support::{says, within};

fn check(routing: Routing) {
    within(&Layout { routing, ..Layout::default() }, |cluster| {
        let pod = cluster.nodes[0].add("a")?;
        let (outside, node) = (&cluster.underlay.netns, &cluster.nodes[0]);
        for (cidr, address) in node.pod_cidrs.iter().zip(&node.addresses) {
            outside.ip(&format!("route add {cidr} via {address}"))?;
        }
        let gateways = cluster.underlay.gateways(1);
        let _servers = (Echo::start(outside, &gateways)?, Echo::start(&pod.netns, &pod.addresses)?);
        for protocol in Protocol::ALL {
            for address in &gateways {
                probe(&pod.netns, *address, protocol)?;
            }
            for address in &pod.addresses {
                probe(outside, *address, protocol)?;
            }
        }
        Ok(())
    });
}

#[test]
fn pods_reach_the_outside_and_are_reached_by_vxlan() {
    check(Routing::Vxlan);
}

#[test]
fn pods_reach_the_outside_and_are_reached_by_native_routing() {
    check(Routing::Native);
}

#[test]
fn the_way_to_another_node_takes_a_hop() {
    within(&Layout::default(), |cluster| {
        let (a, b, c) = (cluster.nodes[0].add("a")?, cluster.nodes[0].add("b")?, cluster.nodes[1].add("c")?);
        for address in &b.addresses {
            Ping::to(*address).ttl(1).once(&a.netns)?;
        }
        for address in &c.addresses {
            says(Ping::to(*address).ttl(1).once(&a.netns), &["ime"])?;
            Ping::to(*address).ttl(2).once(&a.netns)?;
        }
        Ok(())
    });
}
