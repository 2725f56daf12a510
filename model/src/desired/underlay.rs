//! The kernel's ways to other nodes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

/// The kernel's way to an address of another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// The gateway, or the address itself where it is on link.
    pub next_hop: IpAddr,
    /// The device by which packets leave.
    pub ifindex: u32,
    /// The route's or the device's MTU in bytes.
    pub mtu: u32,
    /// The source that the kernel would choose, where it says so.
    pub source: Option<IpAddr>,
    /// What a router on the path said it takes at most (RFC 1191, RFC 8201), in bytes, while the kernel believes it.
    pub learned: Option<u32>,
    /// The route has several next hops, of which the kernel takes one for each flow.
    pub multipath: bool,
}

impl Path {
    /// The largest packet that gets through now, in bytes.
    #[must_use]
    pub fn present_mtu(&self) -> u32 {
        self.learned.map_or(self.mtu, |learned| learned.min(self.mtu))
    }
}

/// What the kernel says about the ways to other nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Underlay {
    /// By the InternalIP of the other node; no entry where there is no route.
    pub paths: BTreeMap<IpAddr, Path>,
    /// The overlay device, where there is one.
    pub vxlan_ifindex: Option<u32>,
    /// The overlay device's MTU in bytes.
    pub vxlan_mtu: u32,
    /// The node's own devices by which programs may send and take the tunnel's packets, by interface index.
    pub uplinks: BTreeSet<u32>,
    /// Every address of this node but what we made, with the interface index of the device that has it: no pod elsewhere does.
    pub local: BTreeMap<IpAddr, u32>,
    /// What this node must not lose: the addresses of its own devices, and the gateways by which it reaches others.
    pub kept: BTreeSet<IpAddr>,
}
