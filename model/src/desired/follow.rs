//! What changes of pods alone mean for a state that was computed before: most concern one address that nobody else claims,
//! and need no look at the others.

use std::{collections::BTreeSet, net::IpAddr};

use super::{Desired, Peer, PeerKind, precedence, routes::prefix_owner};
use crate::{
    objects::{DiffItem, Objects, Pod},
    plan::{Step, plan},
};

impl Desired {
    /// The state that `after` asks for, and the steps to it, where it differs from this one, computed from `before`, by pods
    /// of other nodes than `own` alone. None where only [`super::desired`] can tell: an address is contested, this node's own, among those
    /// that are `leased` here or outside its node's pod CIDRs, or a pod's node has no index.
    #[must_use]
    pub fn follow(
        &self,
        before: &Objects,
        after: &Objects,
        own: &str,
        leased: &BTreeSet<IpAddr>,
    ) -> Option<(Self, Vec<Step>)> {
        let same = before.nodes.ptr_eq(&after.nodes) || before.nodes == after.nodes;
        if !same {
            return None;
        }
        let mut peers = self.remote.peers.clone();
        for item in before.pods.diff(&after.pods) {
            let (was, now) = match item {
                DiffItem::Add(_, now) => (None, Some(now)),
                DiffItem::Update { old: (_, was), new: (_, now) } => (Some(was), Some(now)),
                DiffItem::Remove(_, was) => (Some(was), None),
            };
            let (was, now) = (was.and_then(|pod| claim(pod, own)), now.and_then(|pod| claim(pod, own)));
            if was == now {
                continue;
            }
            let mut all = [was, now].into_iter().flatten().flat_map(|claim| claim.ips);
            if all.any(|ip| leased.contains(ip) || self.contested.contains(ip) || self.kept.contains(ip)) {
                return None;
            }
            let (mut had, mut has) = (&[][..], &[][..]);
            if let Some(was) = was {
                // Pods of a node that is not known are told of, and counted.
                self.index(was.node)?;
                had = was.ips;
            }
            if let Some(now) = now {
                has = now.ips;
                let peer = Peer { node: self.index(now.node)?, kind: PeerKind::Pod };
                for ip in has {
                    // Somebody else's, or a node's.
                    if peers.insert(*ip, peer).is_some() && !had.contains(ip) {
                        return None;
                    }
                    self.needs_no_route(*ip, peer.node)?;
                }
            }
            for ip in had.iter().filter(|ip| !has.contains(ip)) {
                if let Some(peer) = peers.remove(ip) {
                    self.needs_no_route(*ip, peer.node)?;
                }
            }
        }
        let mut next = self.clone();
        next.remote.peers = peers;
        let steps = plan(&self.remote, &next.remote);
        Some((next, steps))
    }

    /// What lies outside its node's pod CIDRs has a route of its own.
    fn needs_no_route(&self, address: IpAddr, node: u32) -> Option<()> {
        (prefix_owner(&self.remote, address) == Some(node)).then_some(())
    }

    fn index(&self, node: &str) -> Option<u32> {
        self.node_names.iter().find(|(_, name)| ***name == *node).map(|(index, _)| *index)
    }
}

/// What a pod of another node claims, and what settles it where another pod claims the same.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Claim<'a, P> {
    node: &'a str,
    ips: &'a [IpAddr],
    precedence: P,
}

fn claim<'a>(pod: &'a Pod, own: &str) -> Option<Claim<'a, impl Ord + Copy + use<'a>>> {
    let node = pod.node.as_deref().filter(|node| *node != own)?;
    pod.is_networked().then(|| Claim { node, ips: &pod.ips, precedence: precedence(pod) })
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
