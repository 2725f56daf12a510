//! Pods' addresses that lie in no node's pod CIDR, as other IPAM plugins give them: the node that had one first keeps it as long
//! as a pod of its own claims it. What is new goes to the pod that is not terminating, whose kubelet says so, and that is older.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnetwork::IpNetwork;

use crate::objects::{Map, ObjectName, Pod};

/// One address.
#[derive(Debug, Default)]
struct Stray {
    /// The pod that it was given to, and the node that this one is on.
    holder: Option<(ObjectName, Arc<str>)>,
    claimants: BTreeSet<ObjectName>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Strays(BTreeMap<IpAddr, Stray>);

impl Strays {
    /// Whose an address is: a pod, and its node.
    pub(super) fn holder(&self, address: IpAddr) -> Option<&(ObjectName, Arc<str>)> {
        self.0.get(&address)?.holder.as_ref()
    }

    /// The first address of a prefix that was given to a pod for which `is_firm` holds, by its node's name.
    pub(super) fn held_within(&self, cidr: IpNetwork, is_firm: impl Fn(&str) -> bool) -> Option<(IpAddr, &ObjectName)> {
        let mut inside = self.0.range(cidr.network()..=cidr.broadcast());
        inside.find_map(|(address, stray)| {
            let (pod, _) = stray.holder.as_ref().filter(|(_, node)| is_firm(node))?;
            Some((*address, pod))
        })
    }

    /// Who claims it.
    pub(super) fn claimants(&self, address: IpAddr) -> impl Iterator<Item = ObjectName> + '_ {
        self.0.get(&address).into_iter().flat_map(|stray| stray.claimants.iter().cloned())
    }

    pub(super) fn claim(&mut self, address: IpAddr, pod: &ObjectName) {
        self.0.entry(address).or_default().claimants.insert(pod.clone());
    }

    pub(super) fn unclaim(&mut self, address: IpAddr, pod: &ObjectName) {
        if let Some(stray) = self.0.get_mut(&address) {
            stray.claimants.remove(pod);
        }
    }

    /// Settles whose an address is; those who claim it where it goes to another node's pod than before.
    pub(super) fn settle(&mut self, address: IpAddr, pods: &Map<ObjectName, Arc<Pod>>) -> Vec<ObjectName> {
        let Some(stray) = self.0.get_mut(&address) else { return Vec::new() };
        let former = stray.holder.take();
        let node = |name: &ObjectName| pods.get(name).and_then(|pod| pod.node.clone());
        let rank = |name: &ObjectName| {
            let pod = pods.get(name)?;
            let stays = former.as_ref().is_some_and(|(_, node)| pod.node.as_ref() == Some(node));
            // A former holder's other pod is as good as the holder; the newer of them is the one that runs.
            let age = if stays { u64::MAX - pod.created } else { pod.created };
            Some((pod.terminating, !stays, pod.announced, age, name.clone()))
        };
        let best = stray.claimants.iter().filter_map(rank).min();
        stray.holder = best.and_then(|(.., name)| node(&name).map(|node| (name, node)));
        let moved = former.as_ref().map(|(_, node)| node) != stray.holder.as_ref().map(|(_, node)| node);
        let claimants = if moved { stray.claimants.iter().cloned().collect() } else { Vec::new() };
        if stray.claimants.is_empty() {
            self.0.remove(&address);
        }
        claimants
    }

    pub(super) fn clear_claims(&mut self) {
        self.0.values_mut().for_each(|stray| stray.claimants.clear());
    }

    /// Every address.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.0.keys().copied().collect()
    }
}
