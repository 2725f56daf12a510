//! What the datapath knows about everything that is not an endpoint of this node. Desired and observed state are both
//! a [`Remote`]: the one computed from objects, the other read back from the maps.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnetwork::IpNetwork;

use crate::objects::Map;

/// The index that means "this node itself". It has no entry in [`Remote::nodes`].
pub const LOCAL: u32 = 0;

/// How packets travel to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forwarding {
    /// Through the overlay device.
    Vxlan,
    /// As they are, to the next hop.
    Native,
}

/// How a program sends the tunnel's packets itself, and by which device it takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uplink {
    /// The node's own device.
    pub ifindex: u32,
    /// The neighbour on it: the other node, or a gateway.
    pub next_hop: IpAddr,
}

/// How another node is reached. An entry is never edited in place, since a program may read half of the old and half of
/// the new value: a node that changes gets another index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeEntry {
    /// How packets travel.
    pub forwarding: Forwarding,
    /// The device they leave by: the overlay device, or the node's own.
    pub ifindex: u32,
    /// The largest L3 packet that fits, in bytes, without the encapsulation.
    pub mtu: u32,
    /// The outer destination, with [`Forwarding::Vxlan`].
    pub tunnel: Option<IpAddr>,
    /// The outer source, of the tunnel's family; `None` where the kernel chooses it.
    pub source: Option<IpAddr>,
    /// Past the overlay device, with [`Forwarding::Vxlan`] and a source; `None` where that device does it.
    pub uplink: Option<Uplink>,
    /// The next hop for IPv4 packets, with [`Forwarding::Native`].
    pub next_hop_v4: Option<Ipv4Addr>,
    /// The next hop for IPv6 packets, with [`Forwarding::Native`].
    pub next_hop_v6: Option<Ipv6Addr>,
    /// The node's own IPv4 address.
    pub internal_v4: Option<Ipv4Addr>,
    /// The node's own IPv6 address.
    pub internal_v6: Option<Ipv6Addr>,
}

/// What a known address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeerKind {
    /// A pod of another node.
    Pod,
    /// A node, this one included.
    Node,
}

/// A known address that is not an endpoint of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// The index of its node.
    pub node: u32,
    /// What it is.
    pub kind: PeerKind,
}

/// All that is not an endpoint of this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// By index, from 1.
    pub nodes: Map<u32, NodeEntry>,
    /// Known addresses. They go before prefixes.
    pub peers: Map<IpAddr, Peer>,
    /// Pod CIDRs with the index of the node that owns them; the longest one that holds an address counts.
    pub prefixes: Map<IpNetwork, u32>,
    /// An address in one of these that nobody owns is unreachable, and never leaves by the default route.
    pub cluster_cidrs: BTreeSet<IpNetwork>,
}

/// What becomes of a packet to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A known peer.
    Peer(Peer),
    /// An address that no object names, in the pod CIDR of the node with this index.
    Prefix(u32),
    /// An address of a cluster CIDR that nobody owns.
    Unreachable,
    /// Everything else.
    Outside,
}

impl Remote {
    /// What becomes of a packet to an address, by the rule that the programs follow.
    #[must_use]
    pub fn resolve(&self, address: IpAddr) -> Target {
        if let Some(peer) = self.peers.get(&address) {
            return Target::Peer(*peer);
        }
        let holds = self.prefixes.iter().filter(|(prefix, _)| prefix.contains(address));
        if let Some((_, index)) = holds.max_by_key(|(prefix, _)| prefix.prefix()) {
            return Target::Prefix(*index);
        }
        if self.cluster_cidrs.iter().any(|cidr| cidr.contains(address)) {
            return Target::Unreachable;
        }
        Target::Outside
    }
}
