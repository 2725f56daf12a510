//! What objects say about addresses, held against what they may say: what passes is what everybody else sees.
//!
//! ```text
//! Services ─▶ ClusterIPs ─┐
//! Nodes ──────────────────┴▶ nodes: who owns which pod CIDR and InternalIP ─┬▶ Nodes without what is not theirs
//! Pods ─────────────────────▶ which of their addresses they may have ◀──────┘└▶ Pods without what is not theirs
//! ```
//! An object that lies, by mistake or on purpose, loses what it says and nobody else does: no Node and no Pod takes an address
//! or a prefix from another node's pods. A [`Screen`] remembers what it gave to whom, so that what is claimed later, by however
//! old an object, does not take it. A new one goes by age.

mod nodes;
mod own;
#[cfg(test)]
mod properties;
mod ranges;
mod special;
mod strays;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

pub use own::Own;
pub use ranges::Ranges;
pub use special::{Special, special};

use self::{
    nodes::{ClusterIps, Others, Owners},
    strays::Strays,
};
use super::{Issue, Reason};
use crate::objects::{DiffItem, ObjectName, Objects, Pod};

/// Issues about pods that are told one by one, for each node: one that lies about thousands fills nobody's log.
const NAMED: usize = 20;

/// What passed.
#[derive(Debug, Clone, Default)]
pub struct Screened {
    /// The objects without the addresses that are not theirs.
    pub objects: Objects,
    /// What was taken out, and why.
    pub issues: Arc<Vec<Issue>>,
}

/// Screens one snapshot after the other, at the cost of what differs.
#[derive(Debug, Default)]
pub struct Screen {
    own: Own,
    /// As the source has them.
    seen: Objects,
    passed: Screened,
    owners: Owners,
    cluster_ips: ClusterIps,
    strays: Strays,
    of_nodes: Vec<Issue>,
    of_pods: BTreeMap<ObjectName, Vec<Issue>>,
}

impl Screen {
    /// One that has given nothing to anybody.
    #[must_use]
    pub fn new(own: Own) -> Self {
        Self { own, ..Self::default() }
    }

    /// One that knows the same of this node, and has given nothing to anybody.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(self.own.clone())
    }

    /// What passes of these objects.
    pub fn screen(&mut self, objects: &Objects) -> Screened {
        let services = self.follow_services(objects);
        let nodes = self.follow_nodes(objects, &services);
        let mut told = nodes.is_some();
        if nodes == Some(true) {
            self.all_pods(objects);
        } else {
            told |= self.follow_pods(objects, &services);
        }
        let (nodes, pods) = (self.passed.objects.nodes.clone(), self.passed.objects.pods.clone());
        self.passed.objects = Objects { nodes, pods, ..objects.clone() };
        self.seen = objects.clone();
        if told {
            self.passed.issues = Arc::new(self.issues());
        }
        self.passed.clone()
    }

    /// The ClusterIPs that came or went.
    fn follow_services(&mut self, objects: &Objects) -> BTreeSet<IpAddr> {
        let mut touched = BTreeSet::new();
        for item in self.seen.services.diff(&objects.services) {
            let (old, new) = match item {
                DiffItem::Add(_, new) => (None, Some(new)),
                DiffItem::Update { old: (_, old), new: (_, new) } => (Some(old), Some(new)),
                DiffItem::Remove(_, old) => (Some(old), None),
            };
            for service in old.into_iter() {
                for address in &service.cluster_ips {
                    touched.insert(*address);
                    let names = self.cluster_ips.entry(*address).or_default();
                    names.remove(&(service.created, service.name.clone()));
                    if names.is_empty() {
                        self.cluster_ips.remove(address);
                    }
                }
            }
            for service in new.into_iter() {
                for address in &service.cluster_ips {
                    touched.insert(*address);
                    let entry = (service.created, service.name.clone());
                    self.cluster_ips.entry(*address).or_default().insert(entry);
                }
            }
        }
        touched
    }

    /// Whether Nodes were looked at, and then whether anything has another owner.
    fn follow_nodes(&mut self, objects: &Objects, services: &BTreeSet<IpAddr>) -> Option<bool> {
        let same = self.seen.nodes.ptr_eq(&objects.nodes) || self.seen.nodes == objects.nodes;
        let of_service = |ip: &IpAddr| services.contains(ip);
        if same && !objects.nodes.values().any(|node| node.internal_ips.iter().any(of_service)) {
            return None;
        }
        let (cluster_ips, strays, here) = (&self.cluster_ips, &self.strays, &*self.own.node_name);
        let others = Others { nodes: &objects.nodes, cluster_ips, strays, here, first: self.owners.is_empty() };
        let (owners, issues) = self.owners.settle(&self.own, others);
        let moved = owners != self.owners;
        self.owners = owners;
        self.of_nodes = issues;
        let passed = &mut self.passed.objects.nodes;
        for name in self.seen.nodes.keys().filter(|name| !objects.nodes.contains_key(*name)) {
            passed.remove(name);
        }
        for (name, node) in &objects.nodes {
            let node = self.owners.passed(node);
            if passed.get(name) != Some(&node) {
                passed.insert(Arc::clone(name), node);
            }
        }
        Some(moved)
    }

    /// Looks at every pod: addresses may lie in other nodes' CIDRs than before.
    fn all_pods(&mut self, objects: &Objects) {
        self.strays.clear_claims();
        self.of_pods.clear();
        self.passed.objects.pods = objects.pods.clone();
        for (name, pod) in &objects.pods {
            for address in claimed(pod) {
                if self.is_stray(address) {
                    self.strays.claim(address, name);
                }
            }
        }
        for address in self.strays.addresses() {
            self.strays.settle(address, &objects.pods);
        }
        for (name, pod) in &objects.pods {
            self.pass(name, pod);
        }
    }

    /// Looks at the pods that differ, and at those with an address of a Service that came or went; whether an issue may differ.
    fn follow_pods(&mut self, objects: &Objects, services: &BTreeSet<IpAddr>) -> bool {
        let mut names = BTreeSet::new();
        let mut strays = BTreeSet::new();
        for item in self.seen.pods.diff(&objects.pods) {
            let (name, old, new) = match item {
                DiffItem::Add(name, new) => (name, None, Some(new)),
                DiffItem::Update { old: (name, old), new: (_, new) } => (name, Some(old), Some(new)),
                DiffItem::Remove(name, old) => (name, Some(old), None),
            };
            names.insert(name.clone());
            for address in old.into_iter().flat_map(|pod| claimed(pod)).filter(|ip| self.owners.holder(*ip).is_none()) {
                self.strays.unclaim(address, name);
                strays.insert(address);
            }
            for address in new.into_iter().flat_map(|pod| claimed(pod)).filter(|ip| self.owners.holder(*ip).is_none()) {
                self.strays.claim(address, name);
                strays.insert(address);
            }
        }
        for address in strays {
            names.extend(self.strays.settle(address, &objects.pods));
        }
        for address in services {
            names.extend(self.strays.claimants(*address));
        }
        let mut told = false;
        for name in names {
            let had = self.of_pods.remove(&name);
            match objects.pods.get(&name) {
                Some(pod) => self.pass(&name, pod),
                None => _ = self.passed.objects.pods.remove(&name),
            }
            told |= had.as_ref() != self.of_pods.get(&name);
        }
        told
    }

    /// Whether no node's pod CIDR holds it.
    fn is_stray(&self, address: IpAddr) -> bool {
        self.owners.holder(address).is_none()
    }

    /// Lets a pod pass with the addresses that are its own.
    fn pass(&mut self, name: &ObjectName, pod: &Arc<Pod>) {
        let refused: Vec<(IpAddr, Reason)> =
            claimed(pod).filter_map(|address| Some((address, self.refuse(pod, address)?))).collect();
        let passed = if refused.is_empty() {
            Arc::clone(pod)
        } else {
            let mut ips = pod.ips.clone();
            ips.retain(|address| refused.iter().all(|(other, _)| other != address));
            Arc::new(Pod { ips, ..Pod::clone(pod) })
        };
        if self.passed.objects.pods.get(name) != Some(&passed) {
            self.passed.objects.pods.insert(name.clone(), passed);
        }
        // One that goes is in no one's way.
        if !refused.is_empty() && !pod.terminating {
            let issues = refused.into_iter().map(|(_, reason)| Issue::of_pod(name, reason)).collect();
            self.of_pods.insert(name.clone(), issues);
        }
    }

    /// Why an address is not a pod's.
    fn refuse(&self, pod: &Pod, address: IpAddr) -> Option<Reason> {
        let node = pod.node.as_deref().unwrap_or_default();
        if let Some((cidr, owner)) = self.owners.holder(address) {
            let other = || Reason::PodIpOfNode { address, cidr, owner: owner.to_string() };
            return (**owner != *node).then(other);
        }
        if let Some(owner) = self.owners.node_at(address) {
            return Some(Reason::DuplicateAddress { address, owner: format!("node {owner}") });
        }
        if let Some((_, service)) = self.cluster_ips.get(&address).and_then(BTreeSet::first) {
            return Some(Reason::PodIpOfService { address, service: service.clone() });
        }
        if let Some(reason) = self.own.ranges.refuse_pod_ip(address) {
            return Some(reason);
        }
        let (holder, _) = self.strays.holder(address).filter(|(_, owner)| **owner != *node)?;
        Some(Reason::DuplicateAddress { address, owner: format!("pod {holder}") })
    }

    fn issues(&self) -> Vec<Issue> {
        let mut issues = self.of_nodes.clone();
        let mut by_node: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, of_pod) in &self.of_pods {
            let node = self.seen.pods.get(name).and_then(|pod| pod.node.as_deref()).unwrap_or_default();
            let count = by_node.entry(node).or_default();
            *count += 1;
            if *count <= NAMED {
                issues.extend(of_pod.iter().cloned());
            }
        }
        let many = by_node.into_iter().filter(|(_, count)| *count > NAMED);
        issues.extend(
            many.map(|(node, count)| Issue::of_node(node, Reason::ManyWrongPods { pods: count, named: NAMED })),
        );
        issues
    }
}

/// The addresses that a pod says are its own.
fn claimed(pod: &Pod) -> impl Iterator<Item = IpAddr> + '_ {
    let ips: &[IpAddr] = if pod.is_networked() { &pod.ips } else { &[] };
    ips.iter().copied()
}
