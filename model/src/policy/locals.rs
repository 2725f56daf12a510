//! This node's endpoints, and what is in force for each.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{
    Endpoint,
    pods::Pods,
    quota::{Refusal, Spec},
};
use crate::objects::{ObjectName, Pod};

/// Why what a direction of an endpoint should have is not in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// There is no room, whoever has it.
    Keys,
    Tables,
    Blocks,
    /// What the namespace's policies superseded has not gone yet.
    Busy,
    /// More than a share.
    Refused(Refusal),
}

/// A direction whose present state is not in force.
#[derive(Debug, Clone)]
pub(super) struct Stuck {
    pub(super) full: Full,
    /// The policy that asks for most.
    pub(super) largest: Option<ObjectName>,
    /// How often something had been freed: without more, it does not fit either.
    pub(super) freed: u64,
    /// The first round in which it is tried again.
    pub(super) again: u64,
}

impl Stuck {
    /// Whether there is only no room now.
    pub(super) const fn waits(&self) -> bool {
        !matches!(self.full, Full::Refused(_))
    }

    /// Whether room was made since it was tried.
    pub(super) const fn may_fit(&self, freed: u64) -> bool {
        self.waits() && self.freed != freed
    }
}

/// An endpoint.
#[derive(Debug, Default)]
pub(super) struct Local {
    pub(super) endpoint: Endpoint,
    /// The tables that its word names; none while it has no word.
    pub(super) tables: Option<[u32; 2]>,
    /// The policies that isolate it in each direction.
    pub(super) policies: [Box<[ObjectName]>; 2],
    /// Where that is not what it should be.
    pub(super) stuck: [Option<Stuck>; 2],
    /// How often that was tried in vain.
    pub(super) tries: [u32; 2],
    /// What it should have, as the book of shares knows it.
    pub(super) wanted: [Option<Spec>; 2],
}

/// All endpoints, by index and by the pod that their lease names.
#[derive(Debug, Default)]
pub(super) struct Locals {
    by_index: BTreeMap<u32, Local>,
    by_pod: BTreeMap<ObjectName, Vec<u32>>,
}

impl Locals {
    pub(super) fn get(&self, index: u32) -> Option<&Local> {
        self.by_index.get(&index)
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Local> {
        self.by_index.get_mut(&index)
    }

    pub(super) fn insert(&mut self, index: u32, local: Local) {
        if let Some(name) = &local.endpoint.pod {
            self.by_pod.entry(name.clone()).or_default().push(index);
        }
        self.by_index.insert(index, local);
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Local> {
        let local = self.by_index.remove(&index)?;
        if let Some(name) = &local.endpoint.pod
            && let Some(indices) = self.by_pod.get_mut(name)
        {
            indices.retain(|other| *other != index);
            if indices.is_empty() {
                self.by_pod.remove(name);
            }
        }
        Some(local)
    }

    /// The endpoints whose lease names a pod.
    pub(super) fn of_pod(&self, name: &ObjectName) -> &[u32] {
        self.by_pod.get(name).map_or(&[], |indices| indices)
    }

    /// The endpoints whose pods are in a namespace.
    pub(super) fn in_namespace<'a>(&'a self, namespace: &'a Arc<str>) -> impl Iterator<Item = u32> + 'a {
        let all = self.by_pod.range(ObjectName::new(namespace.clone(), "")..);
        all.take_while(move |(name, _)| name.namespace == *namespace).flat_map(|(_, indices)| indices).copied()
    }

    /// An endpoint that leased an address.
    pub(super) fn of_address(&self, address: IpAddr) -> Option<u32> {
        self.iter().find(|(_, local)| local.endpoint.addresses.contains(&address)).map(|(index, _)| index)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Local)> {
        self.by_index.iter().map(|(index, local)| (*index, local))
    }

    /// The pod object that an endpoint belongs to: by name, and by uid where both are known. Host-networked pods have no
    /// endpoint.
    pub(super) fn pod<'a>(&self, index: u32, pods: &'a Pods) -> Option<&'a Arc<Pod>> {
        let endpoint = &self.get(index)?.endpoint;
        let pod = pods.get(endpoint.pod.as_ref()?)?;
        let same = endpoint.uid.as_deref().is_none_or(|uid| pod.has_uid(uid));
        (!pod.host_network && same).then_some(pod)
    }
}
