//! `fr_nodes`, `fr_peers`, `fr_routes` and `fr_cidrs`: what the reconciler's steps write, and what they hold now.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
};

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, lpm_trie::Key};
use ferrule_common::{
    Address,
    peer::{self, Node, Peer},
    prefix::{self, Cidr, PrefixKey, Route},
};
use ferrule_model::{
    desired::{Forwarding, NodeEntry, Peer as ModelPeer, PeerKind, Remote, Uplink},
    objects::Map as ModelMap,
    plan::Step,
};
use ipnetwork::IpNetwork;

use super::{Pins, absent::absent_is_fine, batch, error::LoadError};

/// The four maps, open for writing.
pub struct RemoteMaps {
    nodes: Array<MapData, Node>,
    peers: HashMap<MapData, Address, Peer>,
    routes: LpmTrie<MapData, PrefixKey, Route>,
    cidrs: LpmTrie<MapData, PrefixKey, Cidr>,
    /// The map of peers again, for batches.
    all_peers: OwnedFd,
}

impl RemoteMaps {
    pub(super) fn new(nodes: Map, peers: Map, routes: Map, cidrs: Map) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        let all_peers = match &peers {
            Map::HashMap(data) => data.fd().as_fd().try_clone_to_owned(),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        let all_peers =
            all_peers.map_err(|error| LoadError::Map { name: "fr_peers".into(), source: MapError::IoError(error) })?;
        Ok(Self {
            all_peers,
            nodes: nodes.try_into().map_err(failed("fr_nodes"))?,
            peers: peers.try_into().map_err(failed("fr_peers"))?,
            routes: routes.try_into().map_err(failed("fr_routes"))?,
            cidrs: cidrs.try_into().map_err(failed("fr_cidrs"))?,
        })
    }

    /// The pinned maps.
    ///
    /// # Errors
    /// Where they are not pinned, or are others.
    pub fn pinned(pins: &Pins) -> Result<Self, LoadError> {
        let open = |name: &str, kind: fn(MapData) -> Map| {
            let data = MapData::from_pin(pins.map(name));
            data.map(kind).map_err(|source| LoadError::Map { name: name.into(), source })
        };
        Self::new(
            open("fr_nodes", Map::Array)?,
            open("fr_peers", Map::HashMap)?,
            open("fr_routes", Map::LpmTrie)?,
            open("fr_cidrs", Map::LpmTrie)?,
        )
    }

    /// What the maps hold.
    ///
    /// # Errors
    /// The kernel's.
    pub fn observe(&self) -> Result<Remote, MapError> {
        let peers = self.peers()?.into_iter().collect();
        self.around(peers)
    }

    /// Whether the maps hold this and nothing else. Peers, of which there may be many, are compared as they come: to build a
    /// second state of them would cost ten times as much.
    ///
    /// # Errors
    /// The kernel's.
    pub fn hold(&self, remote: &Remote) -> Result<bool, MapError> {
        let mut peers = self.peers()?;
        peers.sort_unstable_by_key(|(address, _)| *address);
        let same = peers.iter().map(|(address, peer)| (address, peer)).eq(&remote.peers);
        // They share what is the same, and are compared by it.
        Ok(same && self.around(remote.peers.clone())? == *remote)
    }

    /// All but peers.
    fn around(&self, peers: ModelMap<IpAddr, ModelPeer>) -> Result<Remote, MapError> {
        let mut nodes = ModelMap::new();
        for (index, node) in (0_u32..).zip(self.nodes.iter()) {
            let node = node?;
            if node.forwarding != peer::NONE {
                nodes.insert(index, entry(&node));
            }
        }
        Ok(Remote {
            nodes,
            peers,
            prefixes: self
                .routes
                .iter()
                .map(|item| item.map(|(key, route)| (network(&key), route.node)))
                .collect::<Result<_, _>>()?,
            cluster_cidrs: self.cidrs.keys().map(|key| key.map(|key| network(&key))).collect::<Result<_, _>>()?,
        })
    }

    fn peers(&self) -> Result<Vec<(IpAddr, ModelPeer)>, MapError> {
        let known = |(address, peer): (Address, Peer)| (address.to_ip(), model_peer(peer));
        match batch::entries(self.all_peers.as_fd())? {
            Some(entries) => Ok(entries.into_iter().map(known).collect()),
            None => self.peers.iter().map(|item| item.map(known)).collect(),
        }
    }

    /// Carries out one step.
    ///
    /// # Errors
    /// The kernel's, `E2BIG` (or `ENOSPC` for prefixes) where a map is full.
    pub fn apply(&mut self, step: &Step) -> Result<(), MapError> {
        match step {
            Step::SetNode(index, entry) => self.nodes.set(*index, node(entry), 0),
            Step::RemoveNode(index) => self.nodes.set(*index, EMPTY, 0),
            Step::SetPeer(address, peer) => self.peers.insert(Address::from(*address), abi_peer(peer), 0),
            Step::RemovePeer(address) => absent_is_fine(self.peers.remove(&Address::from(*address))),
            Step::SetPrefix(prefix, node) => self.routes.insert(&key(prefix), Route { node: *node }, 0),
            Step::RemovePrefix(prefix) => absent_is_fine(self.routes.remove(&key(prefix))),
            Step::SetCluster(cidr) => self.cidrs.insert(&key(cidr), Cidr { flags: prefix::CLUSTER }, 0),
            Step::RemoveCluster(cidr) => absent_is_fine(self.cidrs.remove(&key(cidr))),
        }
    }
}

const EMPTY: Node = Node {
    forwarding: peer::NONE,
    ifindex: 0,
    mtu: 0,
    uplink: 0,
    tunnel: Address::UNSPECIFIED,
    next_hop_v4: Address::UNSPECIFIED,
    next_hop_v6: Address::UNSPECIFIED,
    internal_v4: Address::UNSPECIFIED,
    internal_v6: Address::UNSPECIFIED,
};

fn abi_peer(peer: &ModelPeer) -> Peer {
    let kind = match peer.kind {
        PeerKind::Pod => peer::POD,
        PeerKind::Node => peer::NODE,
    };
    Peer { node: peer.node, kind }
}

fn model_peer(peer: Peer) -> ModelPeer {
    let kind = if peer.kind == peer::NODE { PeerKind::Node } else { PeerKind::Pod };
    ModelPeer { node: peer.node, kind }
}

fn address(ip: Option<impl Into<IpAddr>>) -> Address {
    ip.map_or(Address::UNSPECIFIED, |ip| Address::from(ip.into()))
}

fn ip(address: Address) -> Option<IpAddr> {
    (address != Address::UNSPECIFIED).then(|| address.to_ip())
}

fn node(entry: &NodeEntry) -> Node {
    // A tunnel's outer source and its gateway have the places of next hops: see `Node::source` and `Node::gateway`.
    let (source, gateway) = (address(entry.source), address(entry.uplink.map(|uplink| uplink.next_hop)));
    let (next_hop_v4, next_hop_v6) = match (entry.forwarding, entry.tunnel) {
        (Forwarding::Native, _) => (address(entry.next_hop_v4), address(entry.next_hop_v6)),
        (Forwarding::Vxlan, Some(IpAddr::V6(_))) => (gateway, source),
        (Forwarding::Vxlan, _) => (source, gateway),
    };
    Node {
        forwarding: match entry.forwarding {
            Forwarding::Vxlan => peer::VXLAN,
            Forwarding::Native => peer::NATIVE,
        },
        ifindex: entry.ifindex,
        mtu: entry.mtu,
        uplink: entry.uplink.map_or(0, |uplink| uplink.ifindex),
        tunnel: address(entry.tunnel),
        next_hop_v4,
        next_hop_v6,
        internal_v4: address(entry.internal_v4),
        internal_v6: address(entry.internal_v6),
    }
}

fn entry(node: &Node) -> NodeEntry {
    let v4 = |address| match ip(address) {
        Some(IpAddr::V4(ip)) => Some(ip),
        _ => None,
    };
    let v6 = |address| match ip(address) {
        Some(IpAddr::V6(ip)) => Some(ip),
        _ => None,
    };
    let native = node.forwarding == peer::NATIVE;
    NodeEntry {
        forwarding: if native { Forwarding::Native } else { Forwarding::Vxlan },
        ifindex: node.ifindex,
        mtu: node.mtu,
        tunnel: ip(node.tunnel),
        source: ip(*node.source()).filter(|_| !native),
        uplink: ip(*node.gateway())
            .filter(|_| !native && node.uplink != 0)
            .map(|next_hop| Uplink { ifindex: node.uplink, next_hop }),
        next_hop_v4: v4(node.next_hop_v4).filter(|_| native),
        next_hop_v6: v6(node.next_hop_v6).filter(|_| native),
        internal_v4: v4(node.internal_v4),
        internal_v6: v6(node.internal_v6),
    }
}

fn key(network: &IpNetwork) -> Key<PrefixKey> {
    let v4 = network.is_ipv4();
    Key::new(PrefixKey::bits(network.prefix(), v4), PrefixKey::of(Address::from(network.network()), v4))
}

pub(super) fn network(key: &Key<PrefixKey>) -> IpNetwork {
    let v4 = key.data().family[0] == 4;
    let bits = key.prefix_len().saturating_sub(PrefixKey::bits(0, v4));
    let address = Address::v6(key.data().address).to_ip();
    let bits = u8::try_from(bits).unwrap_or(u8::MAX);
    IpNetwork::new(address, bits).unwrap_or_else(|_| IpNetwork::from(address))
}
