//! How many entries each map has.

use crate::policy;

/// Tests only (the feature `other-layout`): every map has more entries and fields stand in another order, for an agent that
/// takes over from one with the usual layout.
pub(crate) const OTHER: bool = cfg!(feature = "other-layout");

/// The number of a map's entries.
pub const fn entries(usual: u32) -> u32 {
    if OTHER { usual + 64 } else { usual }
}

/// Addresses of local pods.
pub const ENDPOINTS: u32 = entries(4096);
/// Local pods' links.
pub const LINKS: u32 = entries(4096);
/// Local pods' sources, by endpoint index.
pub const SOURCES: u32 = LINKS;
/// Pods of other nodes, and nodes' addresses.
pub const PEERS: u32 = entries(262_144);
/// Nodes.
pub const NODES: u32 = entries(8192);
/// Pod CIDRs of all nodes.
pub const ROUTES: u32 = entries(32_768);
/// CIDRs that are asked for by flag.
pub const CIDRS: u32 = entries(1024);

/// Endpoints' words, by endpoint index.
pub const EP_STATE: u32 = LINKS;
/// Tables, by number; number 0 is none.
pub const TABLES: u32 = 1 << policy::TABLE_BITS;
/// Keys of all tables.
pub const POLICY: u32 = entries(524_288);
/// Pods' classes, of two generations while an agent starts.
pub const CLASSES: u32 = entries(2 * 262_144);
/// Prefixes of CIDR policies, of two generations while an agent starts.
pub const BLOCKS: u32 = entries(2 * 65_536);
/// Flows, unless configured otherwise.
pub const CONNTRACK: u32 = entries(131_072);
/// How many more keys than flows wait in the queue: those of entries that went in another way.
pub const QUEUE_SLACK: u32 = 4096;
/// Datagrams whose later fragments are awaited.
pub const FRAGMENTS: u32 = entries(8192);
/// Services' ports and addresses.
pub const SERVICES: u32 = entries(262_144);
/// Backends of all sets: half of them in force, the other half for sets that take their place.
pub const BACKENDS: u32 = entries(524_288);
/// Backends that are looked for without their place; as of [`BACKENDS`].
pub const MEMBERS: u32 = entries(262_144);
/// Clients that keep their backend.
pub const AFFINITY: u32 = entries(65_536);
/// What sockets of UDP asked Services for.
pub const SOCKETS: u32 = entries(131_072);
/// What sockets of TCP asked Services for.
pub const STREAMS: u32 = entries(65_536);
/// Network namespaces whose sockets ask Services.
pub const OWNERS: u32 = entries(8192);
/// Endpoints that cause events, and all together.
pub const SAMPLING: u32 = LINKS + 1;
/// Bytes of events that wait to be read.
pub const EVENTS: u32 = 1 << 18;
