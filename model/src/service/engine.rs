//! From one snapshot to the next: the Services that a change concerns are read anew, and the maps follow.
//!
//! Two snapshots share what did not change, so that a change of one slice costs that Service's endpoints and nothing
//! else, however many Services there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::numbers::Numbers;
use super::room::{Limits, Summary, Used};
use super::{Backend, Endpoints, Found, Frontend, Issue, Place, Reason, Served, SetOf, Step};
use crate::cidr::Family;
use crate::objects::{EndpointSlice, ObjectName, Objects, Protocol, Service};

/// The label of a Node that says which zone it is in.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What follows from a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The writes, in their order.
    pub steps: Vec<Step>,
    /// Sets that nothing names once the steps are done: to be removed after a grace, and then released.
    pub superseded: Vec<SetOf>,
    /// Endpoints of UDP ports that were there and serve no more.
    pub left: Vec<(Frontend, Backend)>,
}

/// What is in force.
#[derive(Debug, Clone)]
pub(super) struct Live {
    served: Served,
    serving: Arc<[Backend]>,
    set: u32,
}

/// What a frontend is to lead to.
struct Choice {
    served: Served,
    /// Sorted, of UDP ports alone: where sockets may be that were led there once, whatever is chosen now.
    serving: Arc<[Backend]>,
}

/// What frontends are to lead to, and whose they are.
type Wanted<'a> = BTreeMap<Frontend, (&'a ObjectName, Choice)>;

/// Services, and what of them is in the maps.
#[derive(Debug)]
pub struct Engine {
    pub(super) limits: Limits,
    node: Arc<str>,
    zone: Option<Arc<str>>,
    hinted: bool,
    pub(super) objects: Arc<Objects>,
    /// Slices by the Service that they are of.
    pub(super) slices: HashMap<ObjectName, BTreeSet<ObjectName>>,
    /// Who has an address, the eldest first.
    pub(super) claims: BTreeMap<IpAddr, BTreeSet<(u64, ObjectName)>>,
    /// Addresses that several have.
    contested: BTreeSet<IpAddr>,
    /// Ports that no socket program can serve.
    sctp: BTreeMap<ObjectName, Vec<u16>>,
    /// The frontends that each Service has.
    pub(super) owned: HashMap<ObjectName, Vec<Frontend>>,
    pub(super) live: BTreeMap<Frontend, Live>,
    /// Frontends that the map holds and whose sets are damaged, until they are written anew or removed.
    pub(super) strays: BTreeSet<Frontend>,
    /// Addresses in the map.
    pub(super) addresses: BTreeSet<IpAddr>,
    numbers: Numbers,
    used: Used,
    /// What did not fit; tried again once something was released.
    pub(super) unfit: BTreeMap<ObjectName, Reason>,
    /// Sets that nothing names since the engine was made.
    orphans: BTreeMap<u32, SetOf>,
    again: bool,
}

impl Engine {
    /// Over maps that hold `found`, which stays until [`Engine::begin`].
    #[must_use]
    pub fn new(limits: Limits, node: &str, found: &Found) -> (Self, Vec<SetOf>) {
        let mut live = BTreeMap::new();
        let mut named = BTreeSet::new();
        for (frontend, port) in &found.ports {
            let set = found.sets.get(&port.set);
            // What is damaged is no one's choice: it differs from all that is wanted, and is written anew.
            let backends = match set {
                Some(set) if set.backends.len() == port.count as usize => Some(Arc::clone(&set.backends)),
                None if port.count == 0 => Some(Arc::from([])),
                _ => None,
            };
            let members = set.is_some_and(|set| set.members);
            let Some(backends) = backends else { continue };
            let served = Served { backends, affinity: port.affinity };
            if !served.has_members(frontend.protocol) || members || served.backends.is_empty() {
                named.insert(port.set);
                let serving = Arc::clone(&served.backends);
                live.insert(*frontend, Live { served, serving, set: port.set });
            }
        }
        let strays = found.ports.keys().filter(|frontend| !live.contains_key(frontend)).copied().collect();
        let mut used = Used::default();
        found.sets.values().for_each(|set| used.add(set));
        let orphans: Vec<SetOf> = found.sets.values().filter(|set| !named.contains(&set.set)).cloned().collect();
        let engine = Self {
            limits,
            node: node.into(),
            zone: None,
            hinted: true,
            objects: Arc::default(),
            slices: HashMap::new(),
            claims: BTreeMap::new(),
            contested: BTreeSet::new(),
            sctp: BTreeMap::new(),
            owned: HashMap::new(),
            live,
            strays,
            addresses: found.addresses.clone(),
            numbers: Numbers::new(limits.sets, found.sets.keys().copied()),
            used,
            unfit: BTreeMap::new(),
            orphans: orphans.iter().map(|set| (set.set, set.clone())).collect(),
            again: false,
        };
        (engine, orphans)
    }

    /// Nobody writes hints into slices, as where they are files: `trafficDistribution` itself is followed. Before the
    /// first snapshot.
    pub const fn follow_distribution(&mut self) {
        self.hinted = false;
    }

    /// The first snapshot: what it does not name goes.
    pub fn begin(&mut self, objects: &Arc<Objects>) -> Applied {
        let frontends: BTreeSet<Frontend> = self.live.keys().chain(&self.strays).copied().collect();
        let addresses = self.addresses.clone();
        self.change(objects, frontends, addresses)
    }

    /// The next snapshot.
    pub fn apply(&mut self, objects: &Arc<Objects>) -> Applied {
        if Arc::ptr_eq(&self.objects, objects) && !self.again {
            return Applied::default();
        }
        self.change(objects, BTreeSet::new(), BTreeSet::new())
    }

    /// Whether something that did not fit may fit now.
    #[must_use]
    pub const fn wants_again(&self) -> bool {
        self.again
    }

    /// Sets that were superseded are out of the maps.
    pub fn release(&mut self, gone: &SetOf) {
        self.used.subtract(gone);
        self.numbers.release(gone.set);
        self.again |= !self.unfit.is_empty();
    }

    /// Numbers of sets that nothing named when the engine was made are out of the maps.
    pub fn forget(&mut self, gone: &BTreeSet<u32>) {
        for set in gone {
            self.numbers.release(*set);
            if let Some(one) = self.orphans.remove(set) {
                self.used.subtract(&one);
            }
        }
        self.again |= !self.unfit.is_empty();
    }

    /// The snapshot that it knows.
    #[must_use]
    pub fn objects(&self) -> Arc<Objects> {
        Arc::clone(&self.objects)
    }

    /// What the maps should hold, but for sets that are about to go.
    #[must_use]
    pub fn expected(&self) -> Found {
        let mut found = Found { addresses: self.addresses.clone(), ..Found::default() };
        for (frontend, Live { served, set, .. }) in &self.live {
            let count = u32::try_from(served.backends.len()).unwrap_or(u32::MAX);
            found.ports.insert(*frontend, super::FoundPort { set: *set, count, affinity: served.affinity });
            if *set != 0 {
                found.sets.insert(*set, set_of(*frontend, served, *set));
            }
        }
        found
    }

    /// What a frontend leads to now.
    #[must_use]
    pub fn served(&self, frontend: &Frontend) -> Option<&Served> {
        self.live.get(frontend).map(|live| &live.served)
    }

    /// The Service that has an address.
    #[must_use]
    pub fn service_at(&self, address: &IpAddr) -> Option<&ObjectName> {
        self.claims.get(address)?.first().map(|(_, name)| name)
    }

    /// How much there is.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            services: self.owned.len(),
            frontends: self.live.len(),
            backends: self.used.backends,
            members: self.used.members,
        }
    }

    /// What is not as its object says. Pods that have a Service's address are found by [`super::shared_with_pods`].
    #[must_use]
    pub fn issues(&self, kube_proxy: bool) -> Vec<Issue> {
        let mut issues = Vec::new();
        for address in &self.contested {
            let Some(claims) = self.claims.get(address) else { continue };
            let Some((_, elder)) = claims.first() else { continue };
            issues.extend(claims.iter().skip(1).map(|(_, service)| Issue {
                service: service.clone(),
                reason: Reason::Taken { address: *address, elder: elder.clone() },
            }));
        }
        issues.extend(self.unfit.iter().map(|(name, reason)| Issue { service: name.clone(), reason: reason.clone() }));
        if !kube_proxy {
            for (name, ports) in &self.sctp {
                let reason = |port: &u16| Reason::Sctp { port: *port };
                issues.extend(ports.iter().map(|port| Issue { service: name.clone(), reason: reason(port) }));
            }
        }
        issues
    }

    /// `frontends` and `addresses` are looked at beside what the change concerns.
    fn change(
        &mut self,
        objects: &Arc<Objects>,
        mut frontends: BTreeSet<Frontend>,
        mut addresses: BTreeSet<IpAddr>,
    ) -> Applied {
        let before = std::mem::replace(&mut self.objects, Arc::clone(objects));
        let mut dirty = BTreeSet::new();
        if std::mem::take(&mut self.again) {
            dirty.extend(self.unfit.keys().cloned());
        }
        self.follow_services(&before, &mut dirty, &mut addresses);
        self.follow_slices(&before, &mut dirty);
        let zone = objects.nodes.get(&*self.node).and_then(|node| node.labels.get(ZONE)).map(Arc::from);
        if zone != self.zone {
            self.zone = zone;
            dirty.extend(objects.services.keys().cloned());
        }
        // An address that had no room is tried again with its Service.
        let waiting = dirty.iter().filter(|name| self.unfit.contains_key(name));
        for service in waiting.filter_map(|name| objects.services.get(name)) {
            addresses.extend(&service.cluster_ips);
        }
        // An address may have passed to another Service, whose frontends are then others.
        for address in &addresses {
            dirty.extend(self.claims.get(address).into_iter().flatten().map(|(_, name)| name.clone()));
        }
        let wanted = self.read_anew(objects, &dirty, &mut frontends);
        self.put_in_force(&wanted, &dirty, &frontends, &addresses)
    }

    /// What the frontends of these Services are to lead to; those that they had are added to `frontends`.
    fn read_anew<'a>(
        &mut self,
        objects: &Objects,
        dirty: &'a BTreeSet<ObjectName>,
        frontends: &mut BTreeSet<Frontend>,
    ) -> Wanted<'a> {
        let mut wanted = BTreeMap::new();
        for name in dirty {
            self.unfit.remove(name);
            self.sctp.remove(name);
            frontends.extend(self.owned.remove(name).unwrap_or_default());
            let Some(service) = objects.services.get(name).filter(|service| is_ours(service)) else { continue };
            let sctp = service.ports.iter().filter(|port| port.protocol == Protocol::Sctp).map(|port| port.port);
            let sctp: Vec<u16> = sctp.collect();
            if !sctp.is_empty() {
                self.sctp.insert(name.clone(), sctp);
            }
            let choices = self.read(objects, service);
            self.owned.insert(name.clone(), choices.iter().map(|(frontend, _)| *frontend).collect());
            wanted.extend(choices.into_iter().map(|(frontend, choice)| (frontend, (name, choice))));
        }
        wanted
    }

    /// The steps to what is wanted. What goes makes room first; then addresses have it before ports, since what is not
    /// known as a Service's would go where no Service's packet may.
    fn put_in_force(
        &mut self,
        wanted: &Wanted<'_>,
        dirty: &BTreeSet<ObjectName>,
        frontends: &BTreeSet<Frontend>,
        addresses: &BTreeSet<IpAddr>,
    ) -> Applied {
        let mut applied = Applied::default();
        for frontend in frontends.iter().filter(|frontend| !wanted.contains_key(frontend)) {
            self.remove(*frontend, &mut applied);
        }
        self.follow_claims(addresses, &mut applied);
        let mut more_room = !applied.steps.is_empty();
        let come = self.take_addresses(addresses);
        let crowded = self.crowded(dirty);
        for (frontend, (name, choice)) in wanted {
            if self.is_known(frontend) || !crowded.contains(name) {
                self.set(*frontend, choice, name, &mut applied);
            }
        }
        applied.steps.extend(come.into_iter().map(Step::SetAddress));
        // Damaged, and what is wanted in their place does not fit.
        for frontend in std::mem::take(&mut self.strays) {
            more_room = true;
            self.remove(frontend, &mut applied);
        }
        self.again |= more_room && self.lacks_frontends();
        applied
    }

    fn remove(&mut self, frontend: Frontend, applied: &mut Applied) {
        applied.steps.push(Step::RemoveFrontend(frontend));
        self.strays.remove(&frontend);
        if let Some(live) = self.live.remove(&frontend) {
            supersede(frontend, &live, applied);
            leave(frontend, &live, &[], applied);
        }
    }

    /// What a Service's addresses, where it has them, lead to.
    fn read(&self, objects: &Objects, service: &Service) -> Vec<(Frontend, Choice)> {
        let place = Place { node: &self.node, zone: self.zone.as_deref(), hinted: self.hinted };
        let names = self.slices.get(&service.name).into_iter().flatten();
        let slices: Vec<&EndpointSlice> =
            names.filter_map(|name| objects.endpoint_slices.get(name)).map(|slice| &**slice).collect();
        let mut found = Vec::new();
        for address in service.cluster_ips.iter().filter(|ip| self.service_at(ip) == Some(&service.name)) {
            for port in service.ports.iter().filter(|port| port.protocol != Protocol::Sctp) {
                let endpoints = Endpoints::new(port, Family::of(*address), slices.iter().copied(), place);
                let served = Served { backends: endpoints.chosen(service, place), affinity: service.affinity };
                let is_udp = port.protocol == Protocol::Udp;
                let serving = if is_udp { endpoints.serving() } else { Arc::default() };
                let frontend = Frontend { address: *address, port: port.port, protocol: port.protocol };
                found.push((frontend, Choice { served, serving }));
            }
        }
        found
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
            if let Some(reason) = self.misfit(&new) {
                self.unfit.entry(name.clone()).or_insert(reason);
                return;
            }
            let Some(number) = self.numbers.take() else {
                let reason = Reason::Full { map: "fr_backends", capacity: self.limits.backends };
                self.unfit.entry(name.clone()).or_insert(reason);
                return;
            };
            set = number;
            self.used.add(&new);
            applied.steps.push(Step::WriteSet(SetOf { set, ..new }));
        }
        let count = u32::try_from(wanted.backends.len()).unwrap_or(u32::MAX);
        applied.steps.push(Step::SetFrontend { frontend, set, count, affinity: wanted.affinity });
        self.strays.remove(&frontend);
        let live = Live { served: wanted.clone(), serving: Arc::clone(serving), set };
        if let Some(old) = self.live.insert(frontend, live) {
            supersede(frontend, &old, applied);
            leave(frontend, &old, serving, applied);
        }
    }

    /// Why a new set does not fit.
    fn misfit(&self, new: &SetOf) -> Option<Reason> {
        let more = new.backends.len();
        if more > self.limits.of_one {
            return Some(Reason::Many { backends: more, capacity: self.limits.of_one });
        }
        if self.used.backends + more > self.limits.backends {
            return Some(Reason::Full { map: "fr_backends", capacity: self.limits.backends });
        }
        if new.members && self.used.members + more > self.limits.members {
            return Some(Reason::Full { map: "fr_svc_members", capacity: self.limits.members });
        }
        None
    }

    /// Notes who has these addresses now, and removes those that nobody has.
    fn follow_claims(&mut self, touched: &BTreeSet<IpAddr>, applied: &mut Applied) {
        for address in touched {
            if self.claims.get(address).is_some_and(BTreeSet::is_empty) {
                self.claims.remove(address);
            }
            if self.claims.get(address).is_some_and(|claims| claims.len() > 1) {
                self.contested.insert(*address);
            } else {
                self.contested.remove(address);
            }
            if !self.claims.contains_key(address) && self.addresses.remove(address) {
                applied.steps.push(Step::RemoveAddress(*address));
            }
        }
    }
}

/// Whether this node's programs serve it.
pub(super) fn is_ours(service: &Service) -> bool {
    service.other_proxy.is_none() && !service.cluster_ips.is_empty()
}

fn set_of(frontend: Frontend, served: &Served, set: u32) -> SetOf {
    SetOf { set, backends: Arc::clone(&served.backends), members: served.has_members(frontend.protocol) }
}

/// Notes the set that nothing names any more.
fn supersede(frontend: Frontend, old: &Live, applied: &mut Applied) {
    if old.set != 0 {
        applied.superseded.push(set_of(frontend, &old.served, old.set));
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
