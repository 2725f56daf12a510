//! The maps that userspace fills (`ferrule_common::layout` says what they must be) and the globals it sets at load.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, LpmTrie, PerCpuArray},
    macros::btf_map,
};
use ferrule_common::{
    Address,
    endpoint::Endpoint,
    layout,
    link::Link,
    metric::{self, Counter},
    peer::{Node, Peer},
    prefix::{Cidr, PrefixKey, Route},
    settings,
    source::Source,
};

const ON_DEMAND: usize = BPF_F_NO_PREALLOC as usize;

/// Local pods by address.
#[btf_map(name = "fr_endpoints")]
pub static ENDPOINTS: HashMap<Address, Endpoint, { layout::ENDPOINTS as usize }> = HashMap::new();

/// Local pods by the host side's interface index.
#[btf_map(name = "fr_links")]
pub static LINKS: HashMap<u32, Link, { layout::LINKS as usize }> = HashMap::new();

/// What local pods may send as, by endpoint index.
#[btf_map(name = "fr_sources")]
pub static SOURCES: Array<Source, { layout::SOURCES as usize }> = Array::new();

/// Pods of other nodes, and nodes' own addresses.
#[btf_map(name = "fr_peers")]
pub static PEERS: HashMap<Address, Peer, { layout::PEERS as usize }, ON_DEMAND> = HashMap::new();

/// How other nodes are reached.
#[btf_map(name = "fr_nodes")]
pub static NODES: Array<Node, { layout::NODES as usize }> = Array::new();

/// Which node owns a pod CIDR.
#[btf_map(name = "fr_routes")]
pub static ROUTES: LpmTrie<PrefixKey, Route, { layout::ROUTES as usize }> = LpmTrie::new();

/// What is known of a CIDR.
#[btf_map(name = "fr_cidrs")]
pub static CIDRS: LpmTrie<PrefixKey, Cidr, { layout::CIDRS as usize }> = LpmTrie::new();

/// What became of packets.
#[btf_map(name = "fr_metrics")]
pub static METRICS: PerCpuArray<Counter, { metric::ENTRIES as usize }> = PerCpuArray::new();

/// `ferrule_common::settings::VXLAN_PORT`.
#[unsafe(no_mangle)]
pub static VXLAN_PORT: Global<u16> = Global::new(settings::DEFAULT_VXLAN_PORT);
