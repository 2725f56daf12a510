//! Two nodes as flannel sets them up: a bridge for pods, and a kernel VXLAN device with a permanent neighbour, a
//! forwarding entry and a route for the other node.

use std::net::IpAddr;

use anyhow::{Context, Result};
use test_kit::topology::{Fabric, Families, Pod, Underlay, run};

use super::{Kind, MTU, Path, Place, PluginNode};

/// All pods.
pub const PODS: &str = "10.245.0.0/16";

/// The nodes.
#[derive(Debug)]
pub struct Flannel {
    pods: [Pod; 2],
    _nodes: [PluginNode; 2],
    _underlay: Underlay,
    _place: Place,
}

impl Flannel {
    /// Makes them, with a pod each.
    ///
    /// # Errors
    /// What `ip`, `bridge` or the plugin complains about.
    pub fn new() -> Result<Self> {
        let place = Place::new();
        let underlay = Underlay::new(&place.0, Fabric::Wire, Families::V4, None)?;
        let nodes = [PluginNode::new(Kind::Flannel, [245, 1])?, PluginNode::new(Kind::Flannel, [245, 2])?];
        for (number, node) in (1..).zip(&nodes) {
            underlay.connect(number, &node.netns)?;
            device(node, &underlay, number)?;
        }
        join(&underlay, (&nodes[0], 1), (&nodes[1], 2))?;
        join(&underlay, (&nodes[1], 2), (&nodes[0], 1))?;
        let pods = [nodes[0].add("a")?, nodes[1].add("b")?];
        Ok(Self { pods, _nodes: nodes, _underlay: underlay, _place: place })
    }

    /// From a pod of one to a pod of the other.
    ///
    /// # Errors
    /// Where a pod has no address.
    pub fn path(&self) -> Result<Path<'_>> {
        PluginNode::path("flannel-like", &self.pods[0], &self.pods[1])
    }
}

/// The node's VXLAN device, with the first address of its pod subnet.
fn device(node: &PluginNode, underlay: &Underlay, number: u8) -> Result<()> {
    let (netns, local) = (&node.netns, outer(underlay, number)?);
    netns.ip(&format!("link add flannel.1 type vxlan id 1 local {local} dev eth0 dstport 8472 nolearning"))?;
    netns.ip(&format!("link set flannel.1 mtu {MTU}"))?;
    netns.ip(&format!("addr add 10.245.{number}.0/32 dev flannel.1"))?;
    netns.ip("link set flannel.1 up").map(drop)
}

/// How the first reaches the second's pods.
fn join(underlay: &Underlay, from: (&PluginNode, u8), to: (&PluginNode, u8)) -> Result<()> {
    let (netns, other) = (&from.0.netns, to.1);
    let mac = to.0.netns.mac("flannel.1")?.map(|octet| format!("{octet:02x}")).join(":");
    let outer = outer(underlay, other)?;
    netns.ip(&format!("neigh add 10.245.{other}.0 lladdr {mac} dev flannel.1 nud permanent"))?;
    run(netns.command("bridge").args(["fdb", "append", &mac, "dev", "flannel.1", "dst", &outer.to_string()]))?;
    netns.ip(&format!("route add 10.245.{other}.0/24 via 10.245.{other}.0 dev flannel.1 onlink")).map(drop)
}

/// The node's address in the underlay.
fn outer(underlay: &Underlay, node: u8) -> Result<IpAddr> {
    underlay.node(node).first().copied().context("the underlay has no address")
}
