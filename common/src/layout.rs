//! The maps by name, and the version of their layout.
//!
//! Reusing a pinned map checks nothing in the kernel, so the version stands in the pins' path, and the agent compares
//! kinds and sizes before it loads programs.

use core::mem::size_of;

use crate::{Address, endpoint, link, metric, peer, prefix, source};

/// The layout of every map. A change of a key, a value, a kind or a size here is a new version.
pub const VERSION: u32 = 3 + if OTHER { 1_000_000 } else { 0 };

/// Tests only (the feature `other-layout`): every map has more entries and fields stand in another order, for an agent that
/// takes over from one with the usual layout.
const OTHER: bool = cfg!(feature = "other-layout");

/// The number of a map's entries.
pub(crate) const fn entries(usual: u32) -> u32 {
    if OTHER { usual + 64 } else { usual }
}

/// What a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `BPF_MAP_TYPE_HASH`.
    Hash,
    /// `BPF_MAP_TYPE_ARRAY`.
    Array,
    /// `BPF_MAP_TYPE_PERCPU_ARRAY`.
    PerCpuArray,
    /// `BPF_MAP_TYPE_LPM_TRIE`.
    LpmTrie,
}

/// A pinned map's definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// At most 15 characters, as bpftool shows them.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Bytes of a key.
    pub key: usize,
    /// Bytes of a value (of one CPU).
    pub value: usize,
    /// Entries at most.
    pub entries: u32,
    /// Allocated at need (`BPF_F_NO_PREALLOC`).
    pub no_prealloc: bool,
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

const LPM: usize = 4 + size_of::<prefix::PrefixKey>();

/// Every pinned map.
pub const MAPS: [Map; 8] = [
    hash("fr_endpoints", size_of::<Address>(), size_of::<endpoint::Endpoint>(), ENDPOINTS, false),
    hash("fr_links", 4, size_of::<link::Link>(), LINKS, false),
    hash("fr_peers", size_of::<Address>(), size_of::<peer::Peer>(), PEERS, true),
    array("fr_sources", size_of::<source::Source>(), SOURCES),
    array("fr_nodes", size_of::<peer::Node>(), NODES),
    lpm("fr_routes", size_of::<prefix::Route>(), ROUTES),
    lpm("fr_cidrs", size_of::<prefix::Cidr>(), CIDRS),
    Map {
        name: "fr_metrics",
        kind: Kind::PerCpuArray,
        key: 4,
        value: size_of::<metric::Counter>(),
        entries: metric::ENTRIES,
        no_prealloc: false,
    },
];

const fn hash(name: &'static str, key: usize, value: usize, entries: u32, no_prealloc: bool) -> Map {
    Map { name, kind: Kind::Hash, key, value, entries, no_prealloc }
}

const fn array(name: &'static str, value: usize, entries: u32) -> Map {
    Map { name, kind: Kind::Array, key: 4, value, entries, no_prealloc: false }
}

const fn lpm(name: &'static str, value: usize, entries: u32) -> Map {
    Map { name, kind: Kind::LpmTrie, key: LPM, value, entries, no_prealloc: true }
}
