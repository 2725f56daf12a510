//! The addresses that are known one by one: nodes, and the pods of other nodes.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    net::IpAddr,
};

use super::{Input, Issue, LOCAL, Peer, PeerKind, Reason, claims::Claims};
use crate::objects::{Map, Pod};

/// What is known one by one.
#[derive(Debug, Default)]
pub(super) struct Peers {
    pub(super) peers: Map<IpAddr, Peer>,
    /// Addresses that several pods of one node claim.
    pub(super) contested: BTreeSet<IpAddr>,
    /// Addresses that are not among the peers since they are leased here.
    pub(super) suppressed: BTreeSet<IpAddr>,
}

/// Every known address of a node or of another node's pod, and those that are not among them since they are leased here.
pub(super) fn peers<'a>(
    input: Input<'a>,
    claims: &Claims<'a>,
    indices: &BTreeMap<&str, u32>,
    issues: &mut Vec<Issue>,
) -> Peers {
    let local: BTreeSet<IpAddr> = input.endpoints.iter().flat_map(|one| &one.addresses).copied().collect();
    let mut peers = Map::new();
    let mut contested = BTreeSet::new();
    let mut suppressed = BTreeSet::new();
    for (name, claim) in claims.nodes() {
        let index = if name == input.node_name { Some(LOCAL) } else { indices.get(name).copied() };
        for &address in &claim.internal_ips {
            if local.contains(&address) {
                suppressed.insert(address);
            } else if let Some(node) = index {
                peers.insert(address, Peer { node, kind: PeerKind::Node });
            }
        }
    }
    for (&address, node) in &input.lasting.former {
        let index = if **node == *input.node_name { Some(LOCAL) } else { indices.get(&**node).copied() };
        // Of this node's own, those that it still has; of others', what nobody else has or gets.
        let here = input.underlay.local.contains_key(&address) == (index == Some(LOCAL));
        if let Some(node) = index.filter(|_| here && !claims.holds(address) && !local.contains(&address)) {
            peers.entry(address).or_insert(Peer { node, kind: PeerKind::Node });
        }
    }
    for (address, pod) in owners(input, claims, &local, &mut suppressed, &mut contested, issues) {
        if input.underlay.kept.contains(&address) || input.underlay.local.contains_key(&address) {
            issues.push(Issue::of_pod(&pod.name, Reason::PodIpOfOwn { address }));
        } else if let Some(node) = pod.node.as_deref().and_then(|name| indices.get(name)) {
            peers.insert(address, Peer { node: *node, kind: PeerKind::Pod });
        }
    }
    Peers { peers, contested, suppressed }
}

/// The pod of another node that owns each address.
fn owners<'a>(
    input: Input<'a>,
    claims: &Claims<'_>,
    local: &BTreeSet<IpAddr>,
    suppressed: &mut BTreeSet<IpAddr>,
    contested: &mut BTreeSet<IpAddr>,
    issues: &mut Vec<Issue>,
) -> BTreeMap<IpAddr, &'a Pod> {
    let mut owners: BTreeMap<IpAddr, &Pod> = BTreeMap::new();
    let mut strays: BTreeMap<&str, (usize, &Pod)> = BTreeMap::new();
    for pod in input.objects.pods.values() {
        let Some(node) = pod.node.as_deref().filter(|node| *node != input.node_name) else { continue };
        if !pod.is_networked() {
            continue;
        }
        if !claims.knows(node) {
            strays.entry(node).or_insert((0, pod)).0 += 1;
            continue;
        }
        for &address in &pod.ips {
            if local.contains(&address) {
                suppressed.insert(address);
                report(pod, address, "a pod of this node".to_owned(), issues);
                continue;
            }
            match owners.entry(address) {
                Entry::Vacant(entry) => _ = entry.insert(pod),
                Entry::Occupied(entry) if entry.get().name == pod.name => {}
                Entry::Occupied(mut entry) if precedence(pod) > precedence(entry.get()) => {
                    contested.insert(address);
                    let loser = entry.insert(pod);
                    report(loser, address, format!("pod {}", pod.name), issues);
                }
                Entry::Occupied(entry) => {
                    contested.insert(address);
                    report(pod, address, format!("pod {}", entry.get().name), issues);
                }
            }
        }
    }
    issues.extend(strays.into_iter().map(|(node, (pods, example))| {
        Issue::of_node(node, Reason::UnknownNode { pods, example: example.name.to_string() })
    }));
    owners
}

/// Of two pods that claim one address, the greater one is its present owner: the one that is not terminating, then the
/// one whose kubelet says so, then the younger. (Pods that ended claim nothing.) Names settle the rest, the same on every
/// node.
pub(crate) fn precedence(pod: &Pod) -> impl Ord + Copy + '_ {
    (!pod.terminating, !pod.announced, pod.created, Reverse(&pod.name))
}

/// A terminating pod whose address went to another is in no one's way.
fn report(pod: &Pod, address: IpAddr, owner: String, issues: &mut Vec<Issue>) {
    if !pod.terminating {
        issues.push(duplicate(pod, address, owner));
    }
}

fn duplicate(pod: &Pod, address: IpAddr, owner: String) -> Issue {
    Issue::of_pod(&pod.name, Reason::DuplicateAddress { address, owner })
}
