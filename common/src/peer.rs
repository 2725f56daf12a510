//! `fr_peers` and `fr_nodes`: everybody who is not a pod of this node.

use crate::Address;

/// The node index that means this node itself.
pub const SELF: u32 = 0;

value! {
    /// The value of `fr_peers`: a pod of another node, or a node's own address.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Peer {
        /// Index into `fr_nodes`; [`SELF`] for this node's own addresses.
        pub node: u32,
        /// [`POD`] or [`NODE`].
        pub kind: u32,
    }
}

/// [`Peer::kind`] of a pod.
pub const POD: u32 = 1;
/// [`Peer::kind`] of a node's InternalIP.
pub const NODE: u32 = 2;

value! {
    /// The value of `fr_nodes`: how another node is reached. Written before anything names its index, never edited: an
    /// array's value can be read half written, so that a changed node gets a fresh index.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Node {
        /// [`NONE`], [`VXLAN`] or [`NATIVE`].
        pub forwarding: u32,
        /// The device that leads there: the overlay device, or with native routing one of the node's own.
        pub ifindex: u32,
        /// The largest layer 3 packet that fits, in bytes.
        pub mtu: u32,
        /// With VXLAN the node's own device that leads there, by which programs send and receive the tunnel's packets; 0 where
        /// the overlay device does.
        pub uplink: u32,
        /// The outer destination, or `::`.
        pub tunnel: Address,
        /// The next hop for IPv4 with native routing, or `::`; with VXLAN see [`Node::source`].
        pub next_hop_v4: Address,
        /// The next hop for IPv6 with native routing, or `::`; with VXLAN see [`Node::source`].
        pub next_hop_v6: Address,
        /// The node's IPv4 InternalIP, or `::`.
        pub internal_v4: Address,
        /// The node's IPv6 InternalIP, or `::`.
        pub internal_v6: Address,
    }
}

impl Node {
    /// The outer source with VXLAN, `::` where the kernel chooses it: it has the place of the next hop of the tunnel's family,
    /// which a tunnel does not need.
    #[inline(always)]
    #[must_use]
    pub const fn source(&self) -> &Address {
        if self.tunnel.is_v4() { &self.next_hop_v4 } else { &self.next_hop_v6 }
    }

    /// The next hop by [`Node::uplink`], of either family: it has the place that [`Node::source`] leaves.
    #[inline(always)]
    #[must_use]
    pub const fn gateway(&self) -> &Address {
        if self.tunnel.is_v4() { &self.next_hop_v6 } else { &self.next_hop_v4 }
    }
}

/// [`Node::forwarding`]: the entry is unused.
pub const NONE: u32 = 0;
/// [`Node::forwarding`]: encapsulated.
pub const VXLAN: u32 = 1;
/// [`Node::forwarding`]: to the next hop as it is.
pub const NATIVE: u32 = 2;
