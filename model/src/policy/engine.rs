//! The engine: takes changes, and answers with what has to be written.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Change, Endpoint,
    addresses::Addresses,
    blocks::{Blocks, Place},
    classes::Classes,
    limits::Limits,
    locals::{Local, Locals},
    pods::Pods,
    policies::Policies,
    quota::Book,
    space::{Dirty, Space},
    step::Step,
    tables::Tables,
    term::{NamespaceLabels, Peers},
    terms::Terms,
};
use crate::objects::{Namespace, NetworkPolicy, ObjectName, Pod};

/// Compiles the policies that concern a node's endpoints.
#[derive(Debug)]
pub struct Engine {
    pub(super) limits: Limits,
    generation: u32,
    pub(super) namespaces: HashMap<Arc<str>, NamespaceLabels>,
    pub(super) pods: Pods,
    pub(super) policies: Policies,
    pub(super) locals: Locals,
    pub(super) space: Space,
    /// Whether there are tables, so that peers have classes.
    pub(super) active: bool,
    pub(super) book: Book,
    /// How often room was made.
    pub(super) freed: u64,
    /// What `freed` was when peers were last left out.
    pub(super) left_at: u64,
    /// Addresses that could not get the class that they should have.
    pub(super) left_out: BTreeSet<IpAddr>,
    /// Boundaries that kept a class that could be simpler.
    pub(super) retry_blocks: Vec<Place>,
}

impl Engine {
    /// Knows nothing yet. `generation` is what its classes' keys are marked with; `taken_tables` are in force from
    /// before and are not used until [`Engine::release`].
    #[must_use]
    pub fn new(limits: Limits, generation: u32, taken_tables: BTreeSet<u32>) -> Self {
        Self {
            limits,
            generation,
            namespaces: HashMap::new(),
            pods: Pods::default(),
            policies: Policies::default(),
            locals: Locals::default(),
            space: Space {
                tables: Tables::new(limits.tables, taken_tables),
                terms: Terms::default(),
                classes: Classes::default(),
                blocks: Blocks::default(),
                addresses: Addresses::default(),
                keys: 0,
                round: 0,
            },
            active: false,
            book: Book::default(),
            freed: 0,
            left_at: 0,
            left_out: BTreeSet::new(),
            retry_blocks: Vec::new(),
        }
    }

    /// What keys of classes are marked with.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Tables that were in force from before have gone and rested.
    pub fn release(&mut self, tables: &BTreeSet<u32>) {
        self.space.tables.numbers.release(tables);
        self.freed += 1;
    }

    /// The steps that put changes in force, to be executed in this order. At every moment between, each endpoint judges
    /// each peer as before the change or as after it. (Of several changes at once, each end may know some and not yet
    /// others.) Why the order holds:
    /// 1. Words of endpoints that are gone: nothing passes there.
    /// 2. Keys of new classes, in every live table: no address has these classes yet.
    /// 3. New tables with all their keys: no word names them yet.
    /// 4. Prefixes, the longest first, and addresses: each write moves its addresses at once from one class to another.
    ///    Where only tables to come tell the two apart, no verdict changes; where live ones do, the peer itself has
    ///    changed.
    /// 5. Words: each store changes all of an endpoint's tables at once. Endpoints whose tables tell apart what a peer
    ///    was from what it is get a new epoch, so that established flows are judged again.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Change>) -> Vec<Step> {
        let mut dirty = Dirty::default();
        for change in changes {
            match change {
                Change::Namespace(name, object) => self.take_namespace(&name, object.as_deref(), &mut dirty),
                Change::Pod(name, object) => self.take_pod(&name, object, &mut dirty),
                Change::Policy(name, object) => self.take_policy(&name, object, &mut dirty),
                Change::Endpoint(index, endpoint) => self.take_endpoint(index, endpoint, &mut dirty),
            }
        }
        self.settle(dirty)
    }

    fn take_namespace(&mut self, name: &Arc<str>, object: Option<&Namespace>, dirty: &mut Dirty) {
        let before = self.labels_of(name);
        match object {
            Some(object) => {
                self.namespaces.insert(name.clone(), NamespaceLabels::known(name, &object.labels));
            }
            None => _ = self.namespaces.remove(name),
        }
        let after = self.labels_of(name);
        if before == after {
            return;
        }
        let flipped = self.space.terms.of_namespaces().filter_map(|term| match &term.peers {
            Peers::Matching { namespaces, pods } if before.fulfil(namespaces) != after.fulfil(namespaces) => Some(pods),
            _ => None,
        });
        let flipped: Vec<_> = flipped.collect();
        if flipped.is_empty() {
            return;
        }
        for pod in self.pods.in_namespace(name) {
            if flipped.iter().any(|pods| pods.matches(&pod.labels)) {
                touch(pod, &self.locals, dirty);
            }
        }
    }

    fn take_pod(&mut self, name: &ObjectName, pod: Option<Arc<Pod>>, dirty: &mut Dirty) {
        if self.pods.get(name) == pod.as_ref() {
            return;
        }
        let before = self.pods.set(name, pod.clone());
        if subject(before.as_deref()) != subject(pod.as_deref()) {
            dirty.endpoints.extend(self.locals.of_pod(name));
        }
        if self.active {
            before.iter().for_each(|pod| self.space.addresses.unclaim(pod));
            pod.iter().for_each(|pod| self.space.addresses.claim(pod));
            before.iter().chain(&pod).for_each(|pod| touch(pod, &self.locals, dirty));
        }
    }

    fn take_policy(&mut self, name: &ObjectName, policy: Option<Arc<NetworkPolicy>>, dirty: &mut Dirty) {
        let before = self.policies.get(name).cloned();
        if before == policy {
            return;
        }
        for index in self.locals.in_namespace(&name.namespace) {
            let Some(pod) = self.locals.pod(index, &self.pods) else { continue };
            if before.iter().chain(&policy).any(|policy| policy.selects(pod)) {
                dirty.endpoints.insert(index);
            }
        }
        self.policies.set(name, policy, self.space.round);
    }

    fn take_endpoint(&mut self, index: u32, endpoint: Option<Endpoint>, dirty: &mut Dirty) {
        if endpoint.is_some() && self.locals.get(index).map(|local| &local.endpoint) == endpoint.as_ref() {
            return;
        }
        if endpoint.is_none() {
            // Also of an index that nothing is known of: a former engine's word may be there.
            dirty.cleared.insert(index);
        }
        let before = self.locals.remove(index);
        let mut kept = None;
        if let Some(local) = before {
            for address in &local.endpoint.addresses {
                self.unlease(*address, index, dirty);
            }
            match endpoint.as_ref().filter(|endpoint| same(&local.endpoint, endpoint)) {
                Some(_) => {
                    kept = Some(local);
                }
                None => {
                    self.unwant(&local, dirty);
                    let tables = local.tables.into_iter().flatten();
                    tables.for_each(|table| self.space.tables.let_go(table, self.space.round));
                    dirty.cleared.insert(index);
                }
            }
        }
        if let Some(endpoint) = endpoint {
            if self.active {
                for address in &endpoint.addresses {
                    self.space.addresses.lease(*address, index);
                    dirty.addresses.insert(*address);
                }
            }
            self.locals.insert(index, Local { endpoint, ..kept.unwrap_or_default() });
            dirty.endpoints.insert(index);
        }
    }

    /// An endpoint that goes wants nothing any more.
    fn unwant(&mut self, local: &Local, dirty: &mut Dirty) {
        let Some(pod) = &local.endpoint.pod else { return };
        for spec in local.wanted.iter().flatten() {
            self.book.let_go(&pod.namespace, spec, &self.limits);
            dirty.namespaces.insert(pod.namespace.clone());
        }
    }

    /// An endpoint has an address no more; another may have leased it too.
    fn unlease(&mut self, address: IpAddr, index: u32, dirty: &mut Dirty) {
        if self.active && self.space.addresses.get(address).is_some_and(|entry| entry.endpoint == index) {
            self.space.addresses.lease(address, self.locals.of_address(address).unwrap_or(0));
            dirty.addresses.insert(address);
        }
    }

    /// What is known of a namespace.
    pub(super) fn labels_of(&self, name: &Arc<str>) -> NamespaceLabels {
        self.namespaces.get(name).cloned().unwrap_or_else(|| NamespaceLabels::unknown(name))
    }
}

/// What policies that select a pod depend on.
fn subject(pod: Option<&Pod>) -> Option<(&crate::selector::Labels, &[crate::objects::ContainerPort], &str, bool)> {
    pod.map(|pod| (&pod.labels, &*pod.ports, &*pod.uid, pod.host_network))
}

/// Whether two leases of an index are one endpoint's, so that what is in force for it may stay.
fn same(a: &Endpoint, b: &Endpoint) -> bool {
    let contradict = a.uid.as_ref().zip(b.uid.as_ref()).is_some_and(|(a, b)| a != b);
    a.pod == b.pod && !contradict
}

/// Has a pod's addresses looked at: its own, and those of its endpoint here.
pub(super) fn touch(pod: &Pod, locals: &Locals, dirty: &mut Dirty) {
    dirty.addresses.extend(&pod.ips);
    for local in locals.of_pod(&pod.name).iter().filter_map(|index| locals.get(*index)) {
        dirty.addresses.extend(&local.endpoint.addresses);
    }
}
