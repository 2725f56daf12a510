//! The steps from the observed to the desired state of the maps, in an order in which each address is at every moment
//! treated as before or as after, and never sent to a node index without an entry.
//!
//! Why the order holds, for an address that is looked up among peers, then prefixes (the longest counts), then cluster
//! CIDRs:
//! 1. Node entries first: what follows may name them.
//! 2. Peers set: each decides its address at once, whatever prefixes say before or after. Nodes' own go first: who is
//!    believed for a pod's address has to be known as the node's by then.
//! 3. Prefixes set, the longest first: one that is set decides exactly the addresses that no longer prefix holds, and
//!    the longer ones are all there, those to come as well as those to go.
//! 4. Cluster CIDRs set: every address that will have an owner has it by now, and none has lost one.
//! 5. Cluster CIDRs removed, before addresses lose the owners that kept them out of it.
//! 6. Prefixes removed, the shortest first: what a removal uncovers is a prefix that stays, since the shorter ones that
//!    go have gone.
//! 7. Peers removed, when the prefixes beneath them are as they shall be.
//! 8. Node entries removed: nothing names them any more.

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::{
    desired::{NodeEntry, Peer, PeerKind, Remote},
    objects::{DiffItem, Map},
};

/// One write to a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Insert a node entry.
    SetNode(u32, NodeEntry),
    /// Insert or replace a peer.
    SetPeer(IpAddr, Peer),
    /// Insert or replace a prefix' node index.
    SetPrefix(IpNetwork, u32),
    /// Insert a cluster CIDR.
    SetCluster(IpNetwork),
    /// Remove a cluster CIDR.
    RemoveCluster(IpNetwork),
    /// Remove a prefix.
    RemovePrefix(IpNetwork),
    /// Remove a peer.
    RemovePeer(IpAddr),
    /// Remove a node entry; its index rests from now on.
    RemoveNode(u32),
}

/// The steps that lead from `observed` to `desired`. An index that both have must have the same entry in both
/// ([`crate::desired::assign`] sees to it): an entry edited in place could be read torn.
#[must_use]
pub fn plan(observed: &Remote, desired: &Remote) -> Vec<Step> {
    let (nodes, gone_nodes) = differing(&observed.nodes, &desired.nodes);
    let (mut peers, gone_peers) = differing(&observed.peers, &desired.peers);
    peers.sort_by_key(|(_, peer)| peer.kind == PeerKind::Pod);
    let (mut prefixes, mut gone_prefixes) = differing(&observed.prefixes, &desired.prefixes);
    prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix()));
    gone_prefixes.sort_by_key(IpNetwork::prefix);

    let mut steps = Vec::new();
    steps.extend(nodes.into_iter().map(|(index, entry)| Step::SetNode(index, entry)));
    steps.extend(peers.into_iter().map(|(address, peer)| Step::SetPeer(address, peer)));
    steps.extend(prefixes.into_iter().map(|(prefix, index)| Step::SetPrefix(prefix, index)));
    steps.extend(desired.cluster_cidrs.difference(&observed.cluster_cidrs).copied().map(Step::SetCluster));
    steps.extend(observed.cluster_cidrs.difference(&desired.cluster_cidrs).copied().map(Step::RemoveCluster));
    steps.extend(gone_prefixes.into_iter().map(Step::RemovePrefix));
    steps.extend(gone_peers.into_iter().map(Step::RemovePeer));
    steps.extend(gone_nodes.into_iter().map(Step::RemoveNode));
    steps
}

/// What is new or another one, and what has gone.
fn differing<K: Ord + Clone, V: PartialEq + Clone>(observed: &Map<K, V>, desired: &Map<K, V>) -> (Vec<(K, V)>, Vec<K>) {
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    for item in observed.diff(desired) {
        match item {
            DiffItem::Add(key, value) | DiffItem::Update { new: (key, value), .. } => {
                set.push((key.clone(), value.clone()));
            }
            DiffItem::Remove(key, _) => gone.push(key.clone()),
        }
    }
    (set, gone)
}

impl Step {
    /// Does to a state what the step does to the maps.
    pub fn apply(&self, remote: &mut Remote) {
        match self {
            Self::SetNode(index, entry) => _ = remote.nodes.insert(*index, entry.clone()),
            Self::SetPeer(address, peer) => _ = remote.peers.insert(*address, *peer),
            Self::SetPrefix(prefix, index) => _ = remote.prefixes.insert(*prefix, *index),
            Self::SetCluster(cidr) => _ = remote.cluster_cidrs.insert(*cidr),
            Self::RemoveCluster(cidr) => _ = remote.cluster_cidrs.remove(cidr),
            Self::RemovePrefix(prefix) => _ = remote.prefixes.remove(prefix),
            Self::RemovePeer(address) => _ = remote.peers.remove(address),
            Self::RemoveNode(index) => _ = remote.nodes.remove(index),
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SetNode(index, _) => write!(f, "node {index}: set"),
            Self::SetPeer(address, peer) => write!(f, "peer {address}: node {}", peer.node),
            Self::SetPrefix(prefix, index) => write!(f, "prefix {prefix}: node {index}"),
            Self::SetCluster(cidr) => write!(f, "cluster CIDR {cidr}: set"),
            Self::RemoveCluster(cidr) => write!(f, "cluster CIDR {cidr}: remove"),
            Self::RemovePrefix(prefix) => write!(f, "prefix {prefix}: remove"),
            Self::RemovePeer(address) => write!(f, "peer {address}: remove"),
            Self::RemoveNode(index) => write!(f, "node {index}: remove"),
        }
    }
}
