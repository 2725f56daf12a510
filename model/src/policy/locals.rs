//! This node's endpoints, and what is in force for each.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::Endpoint;
use super::pods::Pods;
use crate::objects::{ObjectName, Pod};

/// Why an endpoint's present state is not in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Keys,
    Tables,
    Blocks,
}

/// An endpoint.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) endpoint: Endpoint,
    /// The tables that its word names; none while it has no word.
    pub(super) tables: Option<[u32; 2]>,
    /// The policies that isolate it in each direction.
    pub(super) policies: [Box<[ObjectName]>; 2],
    /// Why that is not what it should be.
    pub(super) stuck: Option<Full>,
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
