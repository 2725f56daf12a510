//! What differs between two snapshots, and which Services that concerns.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::engine::{Engine, is_ours};
use crate::objects::{DiffItem, EndpointSlice, Node, ObjectName, Objects, Service};

impl Engine {
    pub(super) fn follow_services(
        &mut self,
        before: &Objects,
        dirty: &mut BTreeSet<ObjectName>,
        addresses: &mut BTreeSet<IpAddr>,
    ) {
        let after = Arc::clone(&self.objects);
        for item in before.services.diff(&after.services) {
            let (old, new) = match item {
                DiffItem::Add(_, new) => (None, Some(new)),
                DiffItem::Update { old: (_, old), new: (_, new) } => (Some(old), Some(new)),
                DiffItem::Remove(_, old) => (Some(old), None),
            };
            if let (Some(old), Some(new)) = (old, new)
                && old == new
            {
                continue;
            }
            let ours = |service: Option<&Arc<Service>>| service.filter(|service| is_ours(service)).cloned();
            if let Some(old) = ours(old) {
                dirty.insert(old.name.clone());
                for address in &old.cluster_ips {
                    addresses.insert(*address);
                    if let Some(claims) = self.claims.get_mut(address) {
                        claims.remove(&(old.created, old.name.clone()));
                    }
                }
            }
            if let Some(new) = ours(new) {
                dirty.insert(new.name.clone());
                for address in &new.cluster_ips {
                    addresses.insert(*address);
                    self.claims.entry(*address).or_default().insert((new.created, new.name.clone()));
                }
            }
        }
    }

    /// Which addresses are nodes' own.
    pub(super) fn follow_nodes(&mut self, before: &Objects, addresses: &mut BTreeSet<IpAddr>) {
        let after = Arc::clone(&self.objects);
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for item in before.nodes.diff(&after.nodes) {
            let (old, new) = match item {
                DiffItem::Add(_, new) => (None, Some(new)),
                DiffItem::Update { old: (_, old), new: (_, new) } => (Some(old), Some(new)),
                DiffItem::Remove(_, old) => (Some(old), None),
            };
            if old.map(|node| &node.internal_ips) != new.map(|node| &node.internal_ips) {
                gone.extend(old);
                come.extend(new);
            }
        }
        for (node, address) in each_address(gone) {
            addresses.insert(*address);
            if let Some(names) = self.node_ips.get_mut(address) {
                names.remove(&node.name);
                if names.is_empty() {
                    self.node_ips.remove(address);
                }
            }
        }
        for (node, address) in each_address(come) {
            addresses.insert(*address);
            self.node_ips.entry(*address).or_default().insert(Arc::clone(&node.name));
        }
    }

    pub(super) fn follow_slices(&mut self, before: &Objects, dirty: &mut BTreeSet<ObjectName>) {
        let after = Arc::clone(&self.objects);
        for item in before.endpoint_slices.diff(&after.endpoint_slices) {
            let (old, new) = match item {
                DiffItem::Add(_, new) => (None, Some(new)),
                DiffItem::Update { old: (_, old), new: (_, new) } if old == new => continue,
                DiffItem::Update { old: (_, old), new: (_, new) } => (Some(old), Some(new)),
                DiffItem::Remove(_, old) => (Some(old), None),
            };
            if let Some((owner, slice)) = old.and_then(|slice| owner(slice)) {
                if let Some(slices) = self.slices.get_mut(&owner) {
                    slices.remove(&slice);
                    if slices.is_empty() {
                        self.slices.remove(&owner);
                    }
                }
                dirty.insert(owner);
            }
            if let Some((owner, slice)) = new.and_then(|slice| owner(slice)) {
                self.slices.entry(owner.clone()).or_default().insert(slice);
                dirty.insert(owner);
            }
        }
    }
}

fn each_address(nodes: Vec<&Arc<Node>>) -> impl Iterator<Item = (&Node, &IpAddr)> {
    nodes.into_iter().flat_map(|node| node.internal_ips.iter().map(move |address| (&**node, address)))
}

/// The Service that a slice is of, and the slice.
fn owner(slice: &EndpointSlice) -> Option<(ObjectName, ObjectName)> {
    let service = slice.service.as_ref()?;
    Some((ObjectName::new(Arc::clone(&slice.name.namespace), Arc::clone(service)), slice.name.clone()))
}
