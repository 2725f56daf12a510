//! Any of our maps as rows of text, for `ferrule map dump`.

use std::{collections::BTreeMap, path::PathBuf};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError};
use ferrule_common::{
    Address,
    endpoint::Endpoint,
    flow::{Quota, Share, Tenant},
    layout,
    link::Link,
    owner::{Owner, STRANGERS},
    peer::{self, Node, Peer},
    policy::{Block, Class, ClassKey, EPOCH_INDEX, Rule, RuleKey, Table, Word},
    prefix::{Cidr, PrefixKey, Route},
    service::{
        ANSWER, Affinity, AffinityKey, Backend, BackendKey, CONNECTED, FrontendKey, MASTER, Member, MemberKey,
        PortWord, Socket, SocketKey,
    },
    source::Source,
};

use super::Pins;

/// One entry: column to value.
pub type Row = BTreeMap<&'static str, String>;

/// Why a map cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// No map has this name.
    #[error("there is no map {0}; the maps are {names}", names = names())]
    Unknown(String),
    /// It is shown by a command of its own, or has nothing to show.
    #[error("{0} is not shown here: `ferrule conntrack list` shows flows, `ferrule monitor` events; `bpftool map dump pinned {path}` shows what it can", path = .1.display())]
    Elsewhere(String, PathBuf),
    /// The kernel refused.
    #[error("the map could not be read")]
    Map(#[from] MapError),
}

fn names() -> String {
    layout::MAPS.map(|map| map.name).join(", ")
}

/// Reads every entry of a pinned map. `fr_metrics` is shown by `ferrule metrics`, summed over CPUs.
///
/// # Errors
/// See [`DumpError`].
pub fn dump(pins: &Pins, name: &str) -> Result<Vec<Row>, DumpError> {
    let open = || MapData::from_pin(pins.map(name));
    let map = |kind: fn(MapData) -> Map| open().map(kind);
    match name {
        "fr_endpoints" => hash(map(Map::HashMap)?, |address: &Address, e: &Endpoint| {
            row([
                ("address", address.to_ip().to_string()),
                ("index", e.index.to_string()),
                ("ifindex", e.ifindex.to_string()),
                ("mtu", e.mtu.to_string()),
                ("mac", mac(e.mac.octets)),
                ("flags", format!("{:#x}", e.flags)),
            ])
        }),
        "fr_links" => hash(map(Map::HashMap)?, |ifindex: &u32, l: &Link| {
            row([
                ("ifindex", ifindex.to_string()),
                ("index", l.index.to_string()),
                ("mac", mac(l.mac.octets)),
                ("host_mac", mac(l.host_mac.octets)),
            ])
        }),
        "fr_peers" => hash(map(Map::HashMap)?, |address: &Address, p: &Peer| {
            let kind = if p.kind == peer::NODE { "node" } else { "pod" };
            row([("address", address.to_ip().to_string()), ("node", p.node.to_string()), ("kind", kind.into())])
        }),
        "fr_sources" => array(map(Map::Array)?, |index, source: &Source| {
            (*source != Source::FREE).then(|| {
                row([
                    ("index", index.to_string()),
                    ("ifindex", source.ifindex.to_string()),
                    ("mac", mac(source.mac.octets)),
                    ("flags", format!("{:#x}", source.flags)),
                    ("v4", shown(source.v4)),
                    ("v6", shown(source.v6)),
                    ("tenant", source.tenant.to_string()),
                ])
            })
        }),
        "fr_nodes" => {
            array(map(Map::Array)?, |index, node: &Node| (node.forwarding != peer::NONE).then(|| node_row(index, node)))
        }
        "fr_routes" => prefixes(map(Map::LpmTrie)?, |route: &Route| ("node", route.node.to_string())),
        "fr_cidrs" => prefixes(map(Map::LpmTrie)?, |cidr: &Cidr| ("flags", cidr.flags.to_string())),
        "fr_ep_state" => array(map(Map::Array)?, |index, word: &Word| {
            (index != EPOCH_INDEX as usize && *word != Word::UNKNOWN).then(|| {
                row([
                    ("endpoint", index.to_string()),
                    ("ingress_table", word.ingress().to_string()),
                    ("egress_table", word.egress().to_string()),
                    ("epoch", word.epoch().to_string()),
                ])
            })
        }),
        "fr_tables" => array(map(Map::Array)?, |index, table: &Table| {
            (*table != Table::default()).then(|| {
                row([
                    ("table", index.to_string()),
                    ("uses", format!("{:#x}", table.uses)),
                    ("generation", table.generation.to_string()),
                ])
            })
        }),
        "fr_policy" => hash(map(Map::HashMap)?, |key: &RuleKey, rule: &Rule| {
            row([
                ("table", key.table.to_string()),
                ("class", key.class.to_string()),
                ("protocol", key.protocol.to_string()),
                ("port", format!("{}/{}", key.port, key.port_bits)),
                ("rule", rule.rule.to_string()),
            ])
        }),
        "fr_classes" => hash(map(Map::HashMap)?, |key: &ClassKey, class: &Class| {
            row([
                ("address", key.address.to_ip().to_string()),
                ("generation", key.generation.to_string()),
                ("class", class.class.to_string()),
                ("pod", class.pod.to_string()),
            ])
        }),
        "fr_blocks" => prefixes(map(Map::LpmTrie)?, |block: &Block| ("class", block.class.to_string())),
        "fr_shares" => array(map(Map::Array)?, |index, share: &Share| {
            (*share != Share::default()).then(|| {
                row([
                    ("endpoint", index.to_string()),
                    ("reserved_out", share.reserved_out.to_string()),
                    ("reserved_in", share.reserved_in.to_string()),
                    ("pooled_out", share.pooled_out.to_string()),
                    ("pooled_in", share.pooled_in.to_string()),
                    ("refused", share.refused.to_string()),
                ])
            })
        }),
        "fr_tenants" => array(map(Map::Array)?, |index, tenant: &Tenant| {
            (tenant.pooled != 0).then(|| row([("tenant", index.to_string()), ("pooled", tenant.pooled.to_string())]))
        }),
        "fr_quota" => array(map(Map::Array)?, |index, quota: &Quota| {
            (index == 0).then(|| row([("reserve", quota.reserve().to_string()), ("pool", quota.pool().to_string())]))
        }),
        "fr_services" => hash(map(Map::HashMap)?, |key: &FrontendKey, word: &PortWord| {
            row([
                ("address", shown(key.address)),
                ("port", u16::from_be(key.port_be).to_string()),
                ("protocol", key.protocol.to_string()),
                ("set", word.set().to_string()),
                ("backends", word.count().to_string()),
                ("affinity", word.affinity().to_string()),
            ])
        }),
        "fr_backends" => hash(map(Map::HashMap)?, |key: &BackendKey, backend: &Backend| {
            row([("set", key.set.to_string()), ("place", key.place.to_string()), ("backend", end(backend))])
        }),
        "fr_svc_members" => hash(map(Map::HashMap)?, |key: &MemberKey, member: &Member| {
            row([("set", key.set.to_string()), ("place", member.place.to_string()), ("backend", end(&key.backend))])
        }),
        "fr_affinity" => hash(map(Map::HashMap)?, |key: &AffinityKey, last: &Affinity| {
            let (address, port) = (key.frontend.address, key.frontend.port_be);
            row([
                ("client", cookie(key.client)),
                ("frontend", end(&Backend::new(address, port))),
                ("backend", end(&last.backend)),
            ])
        }),
        "fr_svc_socks" => hash(map(Map::HashMap)?, asked),
        "fr_svc_tcp" => hash(map(Map::HashMap)?, asked),
        "fr_svc_owners" => hash(map(Map::HashMap)?, |owner: &[u32; 2], counts: &Owner| {
            let name = if *owner == STRANGERS { "strangers".into() } else { cookie(*owner) };
            row([("owner", name), ("held", held(counts)), ("refused", counts.refused.to_string())])
        }),
        "fr_svc_totals" => array(map(Map::Array)?, |_, counts: &Owner| Some(row([("held", held(counts))]))),
        "fr_conntrack" | "fr_flow_queue" | "fr_fragments" | "fr_events" | "fr_sampling" | "fr_watch"
        | "fr_removals" => Err(DumpError::Elsewhere(name.into(), pins.map(name))),
        "fr_metrics" => {
            let metrics = super::Metrics::open(map(Map::PerCpuArray)?)?;
            Ok(metrics
                .samples()?
                .into_iter()
                .map(|s| {
                    row([
                        ("program", s.program.name().to_owned()),
                        ("outcome", s.outcome.to_owned()),
                        ("packets", s.counter.packets.to_string()),
                        ("bytes", s.counter.bytes.to_string()),
                    ])
                })
                .collect())
        }
        other => Err(DumpError::Unknown(other.into())),
    }
}

fn node_row(index: usize, node: &Node) -> Row {
    let forwarding = if node.forwarding == peer::NATIVE { "native" } else { "vxlan" };
    row([
        ("node", index.to_string()),
        ("forwarding", forwarding.into()),
        ("ifindex", node.ifindex.to_string()),
        ("mtu", node.mtu.to_string()),
        ("uplink", node.uplink.to_string()),
        ("tunnel", shown(node.tunnel)),
        ("next_hop_v4", shown(node.next_hop_v4)),
        ("next_hop_v6", shown(node.next_hop_v6)),
        ("internal_v4", shown(node.internal_v4)),
        ("internal_v6", shown(node.internal_v6)),
    ])
}

fn shown(address: Address) -> String {
    if address == Address::UNSPECIFIED { "-".into() } else { address.to_ip().to_string() }
}

fn end(backend: &Backend) -> String {
    if *backend == Backend::NONE {
        return "-".into();
    }
    std::net::SocketAddr::new(backend.address.to_ip(), u16::from_be(backend.port_be)).to_string()
}

/// What a socket asked a Service for.
fn asked(key: &SocketKey, socket: &Socket) -> Row {
    let place = match key.place {
        CONNECTED => "connected".into(),
        ANSWER => "answer".into(),
        MASTER => "mptcp".into(),
        place => place.to_string(),
    };
    row([
        ("socket", cookie(key.cookie)),
        ("place", place),
        ("frontend", end(&Backend::new(socket.frontend.address, socket.frontend.port_be))),
        ("backend", end(&socket.backend)),
    ])
}

/// How much an owner has of each map.
fn held(counts: &Owner) -> String {
    format!("fr_svc_socks {}, fr_svc_tcp {}, fr_affinity {}", counts.sockets, counts.streams, counts.clients)
}

fn cookie([low, high]: [u32; 2]) -> String {
    (u64::from(low) | u64::from(high) << 32).to_string()
}

/// The entries of an array that are in use.
fn array<V: aya::Pod>(map: Map, show: impl Fn(usize, &V) -> Option<Row>) -> Result<Vec<Row>, DumpError> {
    let array: Array<MapData, V> = Array::try_from(map)?;
    let rows = array.iter().enumerate().map(|(index, value)| Ok(show(index, &value?)));
    rows.filter_map(Result::transpose).collect()
}

fn hash<K: aya::Pod, V: aya::Pod>(map: Map, show: impl Fn(&K, &V) -> Row) -> Result<Vec<Row>, DumpError> {
    let map: HashMap<MapData, K, V> = HashMap::try_from(map)?;
    map.iter().map(|item| item.map(|(key, value)| show(&key, &value)).map_err(DumpError::from)).collect()
}

fn prefixes<V: aya::Pod>(map: Map, show: impl Fn(&V) -> (&'static str, String)) -> Result<Vec<Row>, DumpError> {
    let map: LpmTrie<MapData, PrefixKey, V> = LpmTrie::try_from(map)?;
    map.iter()
        .map(|item| {
            let (key, value) = item?;
            Ok(row([("prefix", super::remote_maps::network(&key).to_string()), show(&value)]))
        })
        .collect()
}

fn row<const N: usize>(columns: [(&'static str, String); N]) -> Row {
    columns.into_iter().collect()
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}
