//! What the operator decides of the ways between nodes, and what the kernel can.

use ipnetwork::IpNetwork;

/// How packets travel between nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// Encapsulated.
    Vxlan,
    /// As they are; the underlay carries pod addresses.
    Native,
    /// As they are to nodes on the same link, else encapsulated. Pods' MTU leaves room for the tunnel, so that a node that
    /// joins elsewhere changes nothing for pods that are there. Both are accepted from nodes on the link.
    Auto,
}

/// What VXLAN takes from a packet, in bytes, by the family of the outer header: outer IP, UDP, VXLAN and inner Ethernet
/// headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overhead {
    /// 20 + 8 + 8 + 14.
    pub v4: u32,
    /// 40 + 8 + 8 + 14.
    pub v6: u32,
}

impl Default for Overhead {
    fn default() -> Self {
        Self { v4: 50, v6: 70 }
    }
}

/// Whose choice the tunnel's outer source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OuterSource {
    /// Always ours: the kernel takes it from the programs (Linux 6.0).
    #[default]
    Named,
    /// The kernel's, unless that is none of the node's InternalIPs: packets then go by the stack's routes, which name it.
    WhereNeeded,
}

/// What the operator configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How packets travel between nodes.
    pub routing: Routing,
    /// What the encapsulation takes from a packet.
    pub overhead: Overhead,
    /// Every pod's address of the cluster lies in one of these; host bits are ignored. May be empty.
    pub cluster_cidrs: Vec<IpNetwork>,
    /// The highest node index that the map has room for.
    pub node_capacity: u32,
    /// Whose choice the tunnel's outer source is.
    pub outer_source: OuterSource,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            routing: Routing::Vxlan,
            overhead: Overhead::default(),
            cluster_cidrs: vec![],
            node_capacity: 8191,
            outer_source: OuterSource::default(),
        }
    }
}
