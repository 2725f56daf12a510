//! The maps that userspace fills (`ferrule_common::layout` says what they must be) and the globals it sets at load.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, Queue, RingBuf},
    macros::btf_map,
};
use ferrule_common::{
    Address,
    endpoint::Endpoint,
    event::{Event, Sampling, Watch},
    flow::{Flow, FlowKey, Fragment, FragmentKey, QueuedFlow, Quota, Removals, Share, Tenant},
    layout,
    link::Link,
    metric::{self, Counter},
    owner::Owner,
    path::Sent,
    peer::{Node, Peer},
    policy::{Block, Class, ClassKey, Rule, RuleKey, Table, Word},
    prefix::{Cidr, PrefixKey, Route},
    service::{
        Affinity, AffinityKey, Backend, BackendKey, FrontendKey, Member, MemberKey, PortWord, Socket, SocketKey,
    },
    settings,
    source::Source,
};

use crate::{
    conntrack::cached::{self, CachedFlow},
    context::PacketContext,
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

/// What holds for local pods, by endpoint index; the agent's own counter stands at [`EPOCH_INDEX`].
///
/// [`EPOCH_INDEX`]: ferrule_common::policy::EPOCH_INDEX
#[btf_map(name = "fr_ep_state")]
pub static EP_STATE: Array<Word, { layout::EP_STATE as usize }> = Array::new();

/// Tables by number.
#[btf_map(name = "fr_tables")]
pub static TABLES: Array<Table, { layout::TABLES as usize }> = Array::new();

/// What tables allow.
#[btf_map(name = "fr_policy")]
pub static POLICY: HashMap<RuleKey, Rule, { layout::POLICY as usize }, ON_DEMAND> = HashMap::new();

/// What policies can tell pods apart by.
#[btf_map(name = "fr_classes")]
pub static CLASSES: HashMap<ClassKey, Class, { layout::CLASSES as usize }, ON_DEMAND> = HashMap::new();

/// The same of other addresses.
#[btf_map(name = "fr_blocks")]
pub static BLOCKS: LpmTrie<PrefixKey, Block, { layout::BLOCKS as usize }> = LpmTrie::new();

/// Flows.
#[btf_map(name = "fr_conntrack")]
pub static CONNTRACK: HashMap<FlowKey, Flow, { layout::CONNTRACK as usize }> = HashMap::new();

/// Flows' keys in the order in which their places may be asked for.
#[btf_map(name = "fr_flow_queue")]
pub static FLOW_QUEUE: Queue<QueuedFlow, { (layout::CONNTRACK + layout::QUEUE_SLACK) as usize }> = Queue::new();

/// How many flows each endpoint has.
#[btf_map(name = "fr_shares")]
pub static SHARES: Array<Share, { layout::LINKS as usize }> = Array::new();

/// How many flows each tenant has beyond its endpoints' reserves.
#[btf_map(name = "fr_tenants")]
pub static TENANTS: Array<Tenant, { layout::LINKS as usize }> = Array::new();

/// How the table of flows is shared out.
#[btf_map(name = "fr_quota")]
pub static QUOTA: Array<Quota, { layout::entries(1) as usize }> = Array::new();

/// Which nodes were sent something large, by which source port.
#[btf_map(name = "fr_sent")]
pub static SENT: Array<Sent, { layout::entries(Sent::SLOTS) as usize }> = Array::new();

/// How often flows were removed that were not old.
#[btf_map(name = "fr_removals")]
pub static REMOVALS: Array<Removals, { layout::entries(1) as usize }> = Array::new();

/// First fragments.
#[btf_map(name = "fr_fragments")]
pub static FRAGMENTS: LruHashMap<FragmentKey, Fragment, { layout::FRAGMENTS as usize }> = LruHashMap::new();

/// For watchers.
#[btf_map(name = "fr_events")]
pub static EVENTS: RingBuf<Event, { layout::EVENTS as usize }> = RingBuf::new();

/// How many events each CPU has written, by the endpoint that caused them.
#[btf_map(name = "fr_sampling")]
pub static SAMPLING: PerCpuArray<Sampling, { layout::SAMPLING as usize }> = PerCpuArray::new();

/// What watchers ask for.
#[btf_map(name = "fr_watch")]
pub static WATCH: Array<Watch, { layout::entries(1) as usize }> = Array::new();

/// Services' ports and addresses.
#[btf_map(name = "fr_services")]
pub static SERVICES: HashMap<FrontendKey, PortWord, { layout::SERVICES as usize }, ON_DEMAND> = HashMap::new();

/// Who answers.
#[btf_map(name = "fr_backends")]
pub static BACKENDS: HashMap<BackendKey, Backend, { layout::BACKENDS as usize }, ON_DEMAND> = HashMap::new();

/// Whether a backend is still in a set.
#[btf_map(name = "fr_svc_members")]
pub static MEMBERS: HashMap<MemberKey, Member, { layout::MEMBERS as usize }, ON_DEMAND> = HashMap::new();

/// Clients' backends.
#[btf_map(name = "fr_affinity")]
pub static AFFINITY: HashMap<AffinityKey, Affinity, { layout::AFFINITY as usize }, ON_DEMAND> = HashMap::new();

/// What sockets of UDP asked for.
#[btf_map(name = "fr_svc_socks")]
pub static SOCKETS: HashMap<SocketKey, Socket, { layout::SOCKETS as usize }, ON_DEMAND> = HashMap::new();

/// What sockets of TCP asked for. Only who asks for the peer's name needs it.
#[btf_map(name = "fr_svc_tcp")]
pub static STREAMS: HashMap<SocketKey, Socket, { layout::STREAMS as usize }> = HashMap::new();

/// How much of the three each network namespace has, by its cookie.
#[btf_map(name = "fr_svc_owners")]
pub static OWNERS: HashMap<[u32; 2], Owner, { layout::OWNERS as usize }> = HashMap::new();

/// How much of the three all have together.
#[btf_map(name = "fr_svc_totals")]
pub static TOTALS: Array<Owner, { layout::entries(1) as usize }> = Array::new();

/// What a program decides on, for functions that it calls. No agent reads it.
#[btf_map(name = "fr_context")]
pub static CONTEXT: PerCpuArray<PacketContext, 1> = PerCpuArray::new();

/// What was decided within the last second. No agent reads it.
#[btf_map(name = "fr_flow_cache")]
pub static FLOW_CACHE: PerCpuArray<CachedFlow, { 1 << cached::BITS }> = PerCpuArray::new();

/// Globals that the agent sets at load, by the names in `ferrule_common::settings`.
macro_rules! globals {
    ($($name:ident: $type:ty = $default:expr;)+) => {
        $(
            #[doc = concat!("`ferrule_common::settings::", stringify!($name), "`.")]
            #[unsafe(no_mangle)]
            pub static $name: Global<$type> = Global::new($default);
        )+
    };
}

globals! {
    JIFFIES: u32 = 250;
    TIMEOUT_TCP: u32 = 250 * 8000;
    TIMEOUT_OPENING: u32 = 250 * 10;
    TIMEOUT_CLOSING: u32 = 250 * 10;
    TIMEOUT_UDP: u32 = 250 * 30;
    TIMEOUT_STREAM: u32 = 250 * 120;
    TIMEOUT_OTHER: u32 = 250 * 30;
    FLOW_SHARE: u32 = layout::CONNTRACK / 4;
    OWN_NODE_POLICED: u8 = 0;
    SERVICES_ON: u8 = 1;
    SET_RETVAL: u8 = 0;
    TUNNEL_FLOOR: u32 = settings::FLOOR_V6;
    OWNERS_KNOWN: u8 = 0;
    MPTCP_TOLD: u8 = 0;
    OPEN_MARK: u32 = settings::DEFAULT_OPEN_MARK;
    EVENTS_A_SECOND: u32 = 100;
    OPENS_V6: u8 = 1;
}

/// `ferrule_common::settings::VXLAN_PORT`.
#[unsafe(no_mangle)]
pub static VXLAN_PORT: Global<u16> = Global::new(settings::DEFAULT_VXLAN_PORT);
