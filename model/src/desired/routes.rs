//! The routes that the host itself needs: what it sends to pods of other nodes, and what forwarded packets find that
//! the programs left to the stack.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{Forwarding, NodeEntry, PeerKind, Remote, claims::Claim};
use crate::{
    cidr::{self, Family},
    objects::Map,
};

/// A route in the host's own table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelRoute {
    /// A pod CIDR, a cluster CIDR, or a single pod.
    pub destination: IpNetwork,
    /// Where packets go.
    pub kind: RouteKind,
    /// The source that the host uses, where nothing else chose one.
    pub prefer_source: Option<IpAddr>,
    /// The largest packet in bytes, where it is less than the device's MTU.
    pub mtu: Option<u32>,
}

/// Where a route's packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// Through the overlay device, encapsulated to this address.
    Overlay {
        /// The outer destination.
        tunnel: IpAddr,
        /// The outer source; `None` where the kernel chooses it.
        source: Option<IpAddr>,
    },
    /// To a next hop.
    Via {
        /// Of the destination's family.
        next_hop: IpAddr,
        /// The device it is on.
        ifindex: u32,
    },
    /// Nowhere: answered unreachable, so that nothing leaves by the default route. Pods' own routes are longer.
    Unreachable,
}

/// Every route, by destination. A remote CIDR that equals a cluster CIDR or the own one goes first.
/// `sources` are what the host sends from, by family.
pub(super) fn routes(
    remote: &Remote,
    own_cidrs: &[IpNetwork],
    sources: [Option<IpAddr>; 2],
    vxlan_mtu: u32,
) -> Map<IpNetwork, KernelRoute> {
    let unreachable = remote.cluster_cidrs.iter().chain(own_cidrs).map(|&destination| KernelRoute {
        destination,
        kind: RouteKind::Unreachable,
        prefer_source: None,
        mtu: None,
    });
    let prefixes = remote.prefixes.iter().map(|(prefix, index)| (*prefix, *index));
    let strays = remote
        .peers
        .iter()
        .filter(|(address, peer)| peer.kind == PeerKind::Pod && prefix_owner(remote, **address) != Some(peer.node))
        .map(|(address, peer)| (cidr::host(*address), peer.node));
    let reachable = prefixes.chain(strays).filter_map(|(destination, index)| {
        let family = Family::of_net(destination);
        let node = remote.nodes.get(&index)?;
        let kind = kind(node, family)?;
        let mtu = (node.forwarding == Forwarding::Vxlan && node.mtu < vxlan_mtu).then_some(node.mtu);
        Some(KernelRoute { destination, kind, prefer_source: sources[family as usize], mtu })
    });
    unreachable.chain(reachable).map(|route| (route.destination, route)).collect()
}

/// The gateway addresses that the node must have, to send from where it has no InternalIP of a family.
pub(super) fn own_addresses(own: &Claim) -> Vec<IpAddr> {
    let needed = Family::BOTH.into_iter().filter(|family| own.internal_ip(*family).is_none());
    needed.filter_map(|family| gateway(own, family)).collect()
}

fn gateway(own: &Claim, family: Family) -> Option<IpAddr> {
    own.cidrs.iter().filter(|cidr| Family::of_net(**cidr) == family).find_map(|cidr| cidr::gateway(*cidr))
}

fn kind(entry: &NodeEntry, family: Family) -> Option<RouteKind> {
    match entry.forwarding {
        Forwarding::Vxlan => entry.tunnel.map(|tunnel| RouteKind::Overlay { tunnel, source: entry.source }),
        Forwarding::Native => {
            let next_hop = match family {
                Family::V4 => entry.next_hop_v4.map(IpAddr::V4),
                Family::V6 => entry.next_hop_v6.map(IpAddr::V6),
            };
            next_hop.map(|next_hop| RouteKind::Via { next_hop, ifindex: entry.ifindex })
        }
    }
}

/// The node whose pod CIDR holds an address. Pod CIDRs do not overlap here, so that none but the last one that starts
/// before the address can.
pub(super) fn prefix_owner(remote: &Remote, address: IpAddr) -> Option<u32> {
    let (prefix, index) = remote.prefixes.range(..=cidr::host(address)).next_back()?;
    prefix.contains(address).then_some(*index)
}
