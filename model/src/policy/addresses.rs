//! Who owns which address, and the class that it has. The node's own leases decide; then the pods' precedence.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use ipnetwork::IpNetwork;

use crate::{desired::precedence, objects::Pod};

/// What the map has of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) class: u32,
    /// A pod's.
    pub(super) pod: bool,
}

/// An address that somebody claims.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// What it has, once that is settled.
    pub(super) held: Option<Held>,
    /// The endpoint of this node that leased it; 0: none.
    pub(super) endpoint: u32,
    owner: Option<Arc<Pod>>,
    rivals: Option<Box<[Arc<Pod>]>>,
}

impl Entry {
    /// The pod object that owns it where no endpoint of this node does.
    pub(super) fn owner(&self) -> Option<&Arc<Pod>> {
        self.owner.as_ref()
    }

    fn is_claimed(&self) -> bool {
        self.endpoint != 0 || self.owner.is_some()
    }

    fn claimants(&mut self) -> Vec<Arc<Pod>> {
        self.owner.take().into_iter().chain(self.rivals.take().into_iter().flatten()).collect()
    }

    fn settle(&mut self, mut claimants: Vec<Arc<Pod>>) {
        let best = claimants.iter().enumerate().max_by(|(_, a), (_, b)| precedence(a).cmp(&precedence(b)));
        self.owner = best.map(|(at, _)| at).map(|at| claimants.swap_remove(at));
        self.rivals = (!claimants.is_empty()).then(|| claimants.into());
    }
}

/// Every address that somebody claims.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<IpAddr, Entry>);

impl Addresses {
    pub(super) fn claim(&mut self, pod: &Arc<Pod>) {
        if !pod.is_networked() {
            return;
        }
        for address in &pod.ips {
            let entry = self.0.entry(*address).or_default();
            let mut claimants = entry.claimants();
            if !claimants.iter().any(|other| Arc::ptr_eq(other, pod)) {
                claimants.push(pod.clone());
            }
            entry.settle(claimants);
        }
    }

    pub(super) fn unclaim(&mut self, pod: &Arc<Pod>) {
        for address in &pod.ips {
            let Some(entry) = self.0.get_mut(address) else { continue };
            let mut claimants = entry.claimants();
            claimants.retain(|other| !Arc::ptr_eq(other, pod));
            entry.settle(claimants);
        }
    }

    /// Sets which endpoint leased an address; 0: none.
    pub(super) fn lease(&mut self, address: IpAddr, endpoint: u32) {
        self.0.entry(address).or_default().endpoint = endpoint;
    }

    pub(super) fn get(&self, address: IpAddr) -> Option<&Entry> {
        self.0.get(&address)
    }

    /// The address, if somebody claims it; else it is forgotten, and what it had is returned.
    pub(super) fn claimed(&mut self, address: IpAddr) -> Result<&mut Entry, Option<Held>> {
        if self.0.get(&address).is_some_and(Entry::is_claimed) {
            return self.0.get_mut(&address).ok_or(None);
        }
        Err(self.0.remove(&address).and_then(|entry| entry.held))
    }

    pub(super) fn set(&mut self, address: IpAddr, held: Option<Held>) {
        if let Some(entry) = self.0.get_mut(&address) {
            entry.held = held;
        }
    }

    /// Every address within a prefix.
    pub(super) fn within(&self, prefix: IpNetwork) -> impl Iterator<Item = IpAddr> {
        self.0.range(prefix.network()..=prefix.broadcast()).map(|(address, _)| *address)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (IpAddr, &Entry)> {
        self.0.iter().map(|(address, entry)| (*address, entry))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
