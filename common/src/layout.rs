//! The maps by name, and the version of their layout.
//!
//! Reusing a pinned map checks nothing in the kernel, so the version stands in the pins' path, and the agent compares
//! kinds and sizes before it loads programs.

use core::mem::size_of;

pub use crate::capacity::*;
use crate::{
    Address, capacity, endpoint, event, flow, link, metric, owner, path, peer, policy, prefix, service, source,
};

/// The layout of every map. A change of a key, a value, a kind or a size here is a new version.
pub const VERSION: u32 = 11 + if capacity::OTHER { 1_000_000 } else { 0 };

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
    /// `BPF_MAP_TYPE_LRU_HASH`.
    LruHash,
    /// `BPF_MAP_TYPE_QUEUE`.
    Queue,
    /// `BPF_MAP_TYPE_RINGBUF`; entries are bytes.
    RingBuf,
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

const LPM: usize = 4 + size_of::<prefix::PrefixKey>();

/// Every pinned map.
pub const MAPS: [Map; 32] = [
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
    array("fr_ep_state", size_of::<policy::Word>(), EP_STATE),
    array("fr_tables", size_of::<policy::Table>(), TABLES),
    hash("fr_policy", size_of::<policy::RuleKey>(), size_of::<policy::Rule>(), POLICY, true),
    hash("fr_classes", size_of::<policy::ClassKey>(), size_of::<policy::Class>(), CLASSES, true),
    lpm("fr_blocks", size_of::<policy::Block>(), BLOCKS),
    hash("fr_conntrack", size_of::<flow::FlowKey>(), size_of::<flow::Flow>(), CONNTRACK, false),
    Map {
        name: "fr_flow_queue",
        kind: Kind::Queue,
        key: 0,
        value: size_of::<flow::QueuedFlow>(),
        entries: CONNTRACK + QUEUE_SLACK,
        no_prealloc: false,
    },
    array("fr_shares", size_of::<flow::Share>(), LINKS),
    array("fr_tenants", size_of::<flow::Tenant>(), LINKS),
    array("fr_quota", size_of::<flow::Quota>(), entries(1)),
    array("fr_sent", size_of::<path::Sent>(), entries(path::Sent::SLOTS)),
    array("fr_removals", size_of::<flow::Removals>(), entries(1)),
    Map {
        name: "fr_fragments",
        kind: Kind::LruHash,
        key: size_of::<flow::FragmentKey>(),
        value: size_of::<flow::Fragment>(),
        entries: FRAGMENTS,
        no_prealloc: false,
    },
    Map { name: "fr_events", kind: Kind::RingBuf, key: 0, value: 0, entries: EVENTS, no_prealloc: false },
    Map {
        name: "fr_sampling",
        kind: Kind::PerCpuArray,
        key: 4,
        value: size_of::<event::Sampling>(),
        entries: SAMPLING,
        no_prealloc: false,
    },
    array("fr_watch", size_of::<event::Watch>(), entries(1)),
    hash("fr_services", size_of::<service::FrontendKey>(), size_of::<service::PortWord>(), SERVICES, true),
    hash("fr_backends", size_of::<service::BackendKey>(), size_of::<service::Backend>(), BACKENDS, true),
    hash("fr_svc_members", size_of::<service::MemberKey>(), size_of::<service::Member>(), MEMBERS, true),
    hash("fr_affinity", size_of::<service::AffinityKey>(), size_of::<service::Affinity>(), AFFINITY, true),
    hash("fr_svc_socks", size_of::<service::SocketKey>(), size_of::<service::Socket>(), SOCKETS, true),
    hash("fr_svc_tcp", size_of::<service::SocketKey>(), size_of::<service::Socket>(), STREAMS, false),
    hash("fr_svc_owners", size_of::<[u32; 2]>(), size_of::<owner::Owner>(), OWNERS, false),
    array("fr_svc_totals", size_of::<owner::Owner>(), entries(1)),
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

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{format, string::String};

    use super::*;

    const MANUAL: &str = include_str!("../../docs/maps.md");

    fn kind(map: &Map) -> String {
        let kind = match map.kind {
            Kind::Hash => "hash",
            Kind::Array => "array",
            Kind::PerCpuArray => "per-CPU array",
            Kind::LpmTrie => "LPM trie",
            Kind::LruHash => "LRU hash",
            Kind::Queue => "queue",
            Kind::RingBuf => "ring buffer",
        };
        // A trie is so in any case.
        let at_need = map.no_prealloc && map.kind != Kind::LpmTrie;
        format!("{kind}{}", if at_need { ", allocated at need" } else { "" })
    }

    fn entries(map: &Map) -> String {
        match map.name {
            "fr_conntrack" => "131,072 (`--conntrack-entries`)".into(),
            "fr_flow_queue" => "4,096 more than flows".into(),
            _ if map.kind == Kind::RingBuf => format!("{} KiB", map.entries / 1024),
            _ if map.entries < 1000 => format!("{}", map.entries),
            _ => format!("{},{:03}", map.entries / 1000, map.entries % 1000),
        }
    }

    #[test]
    fn the_manual_has_every_map_with_kind_and_size() {
        for map in &MAPS {
            let row = MANUAL.lines().find_map(|line| line.strip_prefix(&*format!("| `{}` | ", map.name)));
            let row = row.unwrap_or_else(|| panic!("docs/maps.md has no row for {}", map.name));
            let mut cells = row.split(" | ");
            assert_eq!(cells.next(), Some(&*kind(map)), "{}", map.name);
            // The tests' other layout has other sizes.
            if !OTHER {
                assert!(cells.any(|cell| cell == entries(map)), "{}: {row}", map.name);
            }
        }
    }
}
