//! What is wanted brought into force: the steps, in an order in which a map is emptied before it is filled.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use super::{
    Backend, Frontend, Reason, Served, SetOf, Step,
    engine::{Applied, Choice, Engine, Live, Wanted, set_of},
    share::{Refusal, is_system},
};
use crate::objects::{ObjectName, Protocol};

impl Engine {
    /// The steps to what is wanted. What goes makes room first; then addresses have it before ports, since what is not
    /// known as a Service's would go where no Service's packet may.
    pub(super) fn put_in_force(
        &mut self,
        wanted: &Wanted<'_>,
        frontends: &BTreeSet<Frontend>,
        addresses: &BTreeSet<IpAddr>,
    ) -> Applied {
        let mut applied = Applied::default();
        for frontend in frontends.iter().filter(|frontend| !wanted.contains_key(frontend)) {
            self.remove(*frontend, &mut applied);
        }
        self.follow_claims(addresses, &mut applied);
        let come = self.take_addresses(addresses);
        for (frontend, (name, choice)) in wanted {
            self.set(*frontend, choice, name, &mut applied);
        }
        applied.steps.extend(come.into_iter().map(Step::SetAddress));
        // Damaged, and what is wanted in their place waits for room.
        for frontend in std::mem::take(&mut self.strays) {
            self.remove(frontend, &mut applied);
        }
        applied
    }

    /// Takes in those of the addresses that somebody has, the map has not, and there is room for: they are refused for
    /// other ports as long as a Service has them. Of a node's own address the other ports are the node's: who says that he has
    /// a ClusterIP takes nothing from the Service, and a Service with a node's address takes its own ports alone.
    fn take_addresses(&mut self, touched: &BTreeSet<IpAddr>) -> Vec<IpAddr> {
        let owner = |address: &IpAddr| self.service_at(address).filter(|owner| self.is_known(owner));
        let come = touched.iter().filter(|address| !self.node_ips.contains_key(address) && owner(address).is_some());
        let come: Vec<IpAddr> = come.copied().collect();
        come.into_iter().filter(|address| self.addresses.insert(*address)).collect()
    }

    /// Whether a Service's addresses have room.
    fn is_known(&self, service: &ObjectName) -> bool {
        !matches!(self.shares.refusal(service), Some(Refusal::Share { unknown: true, .. }))
    }

    fn remove(&mut self, frontend: Frontend, applied: &mut Applied) {
        applied.steps.push(Step::RemoveFrontend(frontend));
        self.strays.remove(&frontend);
        if let Some(live) = self.live.remove(&frontend) {
            self.supersede(frontend, &live, applied);
            leave(frontend, &live, &[], applied);
        }
    }

    fn set(&mut self, frontend: Frontend, choice: &Choice, name: &ObjectName, applied: &mut Applied) {
        let Choice { served: wanted, serving } = choice;
        if let Some(live) = self.live.get_mut(&frontend).filter(|live| live.served == *wanted) {
            leave(frontend, live, serving, applied);
            live.serving = Arc::clone(serving);
            return;
        }
        let mut set = 0;
        if !wanted.backends.is_empty() {
            let new = set_of(frontend, wanted, 0);
            let number = match self.misfit(&new, &name.namespace) {
                None => self.numbers.take(),
                Some(_) => None,
            };
            let Some(number) = number else {
                return self.wait(frontend, &new, name, applied);
            };
            set = number;
            self.used.add(&new);
            self.leaving.begins(number, &name.namespace);
            applied.steps.push(Step::WriteSet(SetOf { set, ..new }));
        }
        self.lead(frontend, Live { served: wanted.clone(), serving: Arc::clone(serving), set }, applied);
    }

    /// One store, and the former set goes.
    fn lead(&mut self, frontend: Frontend, live: Live, applied: &mut Applied) {
        let count = u32::try_from(live.served.backends.len()).unwrap_or(u32::MAX);
        applied.steps.push(Step::SetFrontend { frontend, set: live.set, count, affinity: live.served.affinity });
        self.strays.remove(&frontend);
        let serving = Arc::clone(&live.serving);
        if let Some(old) = self.live.insert(frontend, live) {
            self.supersede(frontend, &old, applied);
            leave(frontend, &old, &serving, applied);
        }
    }

    /// What was in force stands until sets have gone. Where none is about to, this one goes: nothing else would make room.
    fn wait(&mut self, frontend: Frontend, new: &SetOf, name: &ObjectName, applied: &mut Applied) {
        let (map, capacity) = self.misfit(new, &name.namespace).unwrap_or(("fr_backends", self.limits.backends));
        self.waiting.entry(name.clone()).or_insert(Reason::Full { map, capacity });
        if self.leaving.is_empty()
            && let Some(old) = self.live.get(&frontend).filter(|old| old.set != 0)
        {
            let served = Served { backends: Arc::from([]), affinity: old.served.affinity };
            let nothing = Live { served, serving: Arc::from([]), set: 0 };
            self.lead(frontend, nothing, applied);
        }
    }

    /// The map that a new set does not fit into, beside sets that are about to go: those of one namespace, and of all but the
    /// cluster's own, leave others some room.
    fn misfit(&self, new: &SetOf, namespace: &Arc<str>) -> Option<(&'static str, usize)> {
        let more = new.backends.len();
        let kept = |capacity: usize| if is_system(namespace) { 0 } else { self.limits.kept_of(capacity) };
        let left = self.leaving.of(namespace);
        let beside = |used: usize, left: usize, capacity: usize| {
            used + more > capacity - kept(capacity) || left != 0 && left + more > capacity / self.limits.parts / 2
        };
        if beside(self.used.backends, left.backends, self.limits.backends) {
            return Some(("fr_backends", self.limits.backends));
        }
        if new.members && beside(self.used.members, left.members, self.limits.members) {
            return Some(("fr_svc_members", self.limits.members));
        }
        None
    }

    /// Notes the set that nothing names any more.
    fn supersede(&mut self, frontend: Frontend, old: &Live, applied: &mut Applied) {
        if old.set != 0 {
            let set = set_of(frontend, &old.served, old.set);
            self.leaving.leaves(&set);
            applied.superseded.push(set);
        }
    }

    /// Notes who has these addresses now, and removes those that nobody has, or nobody has room for.
    fn follow_claims(&mut self, touched: &BTreeSet<IpAddr>, applied: &mut Applied) {
        for address in touched {
            if self.claims.get(address).is_some_and(BTreeSet::is_empty) {
                self.claims.remove(address);
            }
            let claimed = self.claims.get(address).map_or(0, BTreeSet::len);
            let of_node = self.node_ips.contains_key(address);
            note(&mut self.contested, *address, claimed > 1);
            note(&mut self.of_nodes, *address, claimed != 0 && of_node);
            let is_wanted = !of_node && self.service_at(address).is_some_and(|owner| self.is_known(owner));
            if !is_wanted && self.addresses.remove(address) {
                applied.steps.push(Step::RemoveAddress(*address));
            }
        }
    }
}

fn note(set: &mut BTreeSet<IpAddr>, address: IpAddr, holds: bool) {
    if holds {
        set.insert(address);
    } else {
        set.remove(&address);
    }
}

/// Notes which endpoints serve no more. One that is merely not chosen any more keeps who is with it.
fn leave(frontend: Frontend, old: &Live, serving: &[Backend], applied: &mut Applied) {
    if frontend.protocol == Protocol::Udp {
        // Both are sorted.
        let left = old.serving.iter().filter(|backend| serving.binary_search(backend).is_err());
        applied.left.extend(left.map(|backend| (frontend, *backend)));
    }
}
