//! What lies between nodes: a bridge, a router with a subnet for each node, or nothing but a wire. A bridge's or router's
//! namespace is the world outside, too, and every node's default gateway.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};

use super::{Families, Netns, Prefix};

/// How nodes are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fabric {
    /// All on one link.
    Bridge,
    /// Each on a link of its own.
    Router,
    /// Two nodes at the ends of one veth; no world outside.
    Wire,
}

/// The underlay.
#[derive(Debug)]
pub struct Underlay {
    /// Its namespace.
    pub netns: Netns,
    fabric: Fabric,
    families: Families,
    mtu: Option<u32>,
}

impl Underlay {
    /// Makes one without nodes.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn new(prefix: &Prefix, fabric: Fabric, families: Families, mtu: Option<u32>) -> Result<Self> {
        let netns = Netns::new(&format!("{prefix}-underlay"))?;
        let underlay = Self { netns, fabric, families, mtu };
        match fabric {
            Fabric::Bridge => {
                underlay.netns.ip("link add br0 type bridge")?;
                without_detection(&underlay.netns, "br0")?;
                underlay.address("br0", 0)?;
                underlay.netns.ip("link set br0 up")?;
            }
            Fabric::Router => {
                underlay.netns.sysctl("ipv4/ip_forward", "1")?;
                underlay.netns.sysctl("ipv6/conf/all/forwarding", "1")?;
            }
            Fabric::Wire => {}
        }
        Ok(underlay)
    }

    /// Its own addresses, as the node of this number (from 1) sees them.
    #[must_use]
    pub fn gateways(&self, node: u8) -> Vec<IpAddr> {
        if self.fabric == Fabric::Wire { Vec::new() } else { self.within(self.subnet(node), 1) }
    }

    /// The addresses of the node of this number.
    #[must_use]
    pub fn node(&self, node: u8) -> Vec<IpAddr> {
        self.within(self.subnet(node), 10 + node)
    }

    /// Gives a node's namespace its `eth0`, with addresses and a default route.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn connect(&self, node: u8, netns: &Netns) -> Result<()> {
        if self.fabric == Fabric::Wire {
            self.wire(node, netns)?;
        } else {
            self.port(node, netns)?;
        }
        without_detection(netns, "eth0")?;
        if let Some(mtu) = self.mtu {
            netns.ip(&format!("link set eth0 mtu {mtu}"))?;
        }
        for address in self.node(node) {
            netns.ip(&format!("addr add {} dev eth0{}", with_length(address), nodad(address)))?;
        }
        netns.ip("link set eth0 up")?;
        for gateway in self.gateways(node) {
            netns.ip(&format!("route add default via {gateway} dev eth0"))?;
        }
        Ok(())
    }

    /// The node's veth, whose other end is a port of the bridge or the router.
    fn port(&self, node: u8, netns: &Netns) -> Result<()> {
        let port = format!("n{node}");
        self.netns.ip(&format!("link add {port} type veth peer name eth0 netns {}", netns.name()))?;
        without_detection(&self.netns, &port)?;
        if let Some(mtu) = self.mtu {
            self.netns.ip(&format!("link set {port} mtu {mtu}"))?;
        }
        match self.fabric {
            Fabric::Router => self.address(&port, node)?,
            _ => _ = self.netns.ip(&format!("link set {port} master br0"))?,
        }
        self.netns.ip(&format!("link set {port} up")).map(drop)
    }

    /// The first node's end of the wire, or the second's: the other end waits here until the second node comes.
    fn wire(&self, node: u8, netns: &Netns) -> Result<()> {
        match node {
            1 => self.netns.ip(&format!("link add wire type veth peer name eth0 netns {}", netns.name()))?,
            2 => self.netns.ip(&format!("link set wire netns {} name eth0", netns.name()))?,
            _ => bail!("a wire has two ends; node {node} needs a bridge or a router"),
        };
        Ok(())
    }

    fn address(&self, link: &str, subnet: u8) -> Result<()> {
        for address in self.within(subnet, 1) {
            self.netns.ip(&format!("addr add {} dev {link}{}", with_length(address), nodad(address)))?;
        }
        Ok(())
    }

    const fn subnet(&self, node: u8) -> u8 {
        match self.fabric {
            Fabric::Bridge | Fabric::Wire => 0,
            Fabric::Router => node,
        }
    }

    fn within(&self, subnet: u8, host: u8) -> Vec<IpAddr> {
        let v4 = IpAddr::V4(Ipv4Addr::new(172, 30, subnet, host));
        let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x30, 0, subnet.into(), 0, 0, 0, host.into()));
        [v4, v6].into_iter().filter(|address| self.families.has(*address)).collect()
    }
}

/// A node's device has long been up when pods come: without this, its link-local address is tentative for the first two
/// seconds, and forwarded packets wait for it.
fn without_detection(netns: &Netns, link: &str) -> Result<()> {
    netns.sysctl(&format!("ipv6/conf/{link}/accept_dad"), "0")
}

fn with_length(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 24 } else { 64 })
}

const fn nodad(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "" } else { " nodad" }
}
