//! From one snapshot to the next: the Services that a change concerns are read anew, and the maps follow.
//!
//! Two snapshots share what did not change, so that a change of one slice costs that Service's endpoints and nothing
//! else, however many Services there are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Backend, Endpoints, Found, Frontend, Place, Reason, Served, SetOf, Step,
    demand::Demand,
    leaving::Leaving,
    numbers::Numbers,
    room::{Limits, Used},
    share::Shares,
};
use crate::{
    cidr::Family,
    objects::{EndpointSlice, ObjectName, Objects, Protocol, Service},
};

/// The label of a Node that says which zone it is in.
const ZONE: &str = "topology.kubernetes.io/zone";

/// What follows from a change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The writes, in their order.
    pub steps: Vec<Step>,
    /// Sets that nothing names once the steps are done: to be removed after a grace, and then released.
    pub superseded: Vec<SetOf>,
    /// Endpoints of UDP ports that were there and serve no more, as far as this engine knows: after a restart
    /// [`Engine::left`] tells the rest.
    pub left: Vec<(Frontend, Backend)>,
}

/// What is in force.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub served: Served,
    pub serving: Arc<[Backend]>,
    pub set: u32,
}

/// What a frontend is to lead to.
pub(super) struct Choice {
    pub served: Served,
    /// Sorted, of UDP ports alone: where sockets may be that were led there once, whatever is chosen now.
    pub serving: Arc<[Backend]>,
}

/// What frontends are to lead to, and whose they are.
pub(super) type Wanted<'a> = BTreeMap<Frontend, (&'a ObjectName, Choice)>;

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
    pub(super) contested: BTreeSet<IpAddr>,
    /// Nodes' own addresses, whose other ports no Service takes from them.
    pub(super) node_ips: BTreeMap<IpAddr, BTreeSet<Arc<str>>>,
    /// Those that Services claim.
    pub(super) of_nodes: BTreeSet<IpAddr>,
    /// Ports that no socket program can serve.
    pub(super) sctp: BTreeMap<ObjectName, Vec<u16>>,
    /// The frontends that each Service has.
    pub(super) owned: HashMap<ObjectName, Vec<Frontend>>,
    pub(super) live: BTreeMap<Frontend, Live>,
    /// Frontends that the map holds and whose sets are damaged, until they are written anew or removed.
    pub(super) strays: BTreeSet<Frontend>,
    /// Addresses in the map.
    pub(super) addresses: BTreeSet<IpAddr>,
    pub(super) numbers: Numbers,
    pub(super) used: Used,
    /// Who gets how much.
    pub(super) shares: Shares,
    /// What waits for sets to go.
    pub(super) waiting: BTreeMap<ObjectName, Reason>,
    /// Sets that nothing names any more.
    pub(super) leaving: Leaving,
    /// Sets that nothing names since the engine was made.
    orphans: BTreeMap<u32, SetOf>,
    pub(super) again: bool,
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
            node_ips: BTreeMap::new(),
            of_nodes: BTreeSet::new(),
            sctp: BTreeMap::new(),
            owned: HashMap::new(),
            live,
            strays,
            addresses: found.addresses.clone(),
            numbers: Numbers::new(limits.sets, found.sets.keys().copied()),
            used,
            shares: Shares::new(&limits),
            waiting: BTreeMap::new(),
            leaving: Leaving::new(orphans.len()),
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
        self.leaving.gone(gone);
        self.again |= !self.waiting.is_empty();
    }

    /// Numbers of sets that nothing named when the engine was made are out of the maps.
    pub fn forget(&mut self, gone: &BTreeSet<u32>) {
        for set in gone {
            self.numbers.release(*set);
            if let Some(one) = self.orphans.remove(set) {
                self.used.subtract(&one);
                self.leaving.gone(&one);
            }
        }
        self.again |= !self.waiting.is_empty();
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

    /// Of the UDP ports and backends that sockets are led to, those that serve no more: it takes what sockets hold and not
    /// what changed, so that it finds what left while no agent ran, and what another agent did not come to.
    pub fn left(
        &self,
        held: impl IntoIterator<Item = (Frontend, Backend)>,
    ) -> impl Iterator<Item = (Frontend, Backend)> {
        let serves = |frontend: &Frontend, backend: &Backend| {
            self.live.get(frontend).is_some_and(|live| live.serving.binary_search(backend).is_ok())
        };
        let held = held.into_iter().filter(|(frontend, _)| frontend.protocol == Protocol::Udp);
        held.filter(move |(frontend, backend)| !serves(frontend, backend))
    }

    /// The Service that has an address.
    #[must_use]
    pub fn service_at(&self, address: &IpAddr) -> Option<&ObjectName> {
        self.claims.get(address)?.first().map(|(_, name)| name)
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
            dirty.extend(self.waiting.keys().cloned());
        }
        self.follow_services(&before, &mut dirty, &mut addresses);
        self.follow_slices(&before, &mut dirty);
        self.follow_nodes(&before, &mut addresses);
        let zone = objects.nodes.get(&*self.node).and_then(|node| node.labels.get(ZONE)).map(Arc::from);
        if zone != self.zone {
            self.zone = zone;
            dirty.extend(objects.services.keys().cloned());
        }
        for name in &dirty {
            self.note(objects, name);
        }
        let settled = self.shares.settle();
        // Whose lot is another now may have an address that had no room, or the other way round.
        for service in settled.iter().filter_map(|name| objects.services.get(name)) {
            addresses.extend(&service.cluster_ips);
        }
        dirty.extend(settled);
        // An address may have passed to another Service, whose frontends are then others.
        for address in &addresses {
            dirty.extend(self.claims.get(address).into_iter().flatten().map(|(_, name)| name.clone()));
        }
        let wanted = self.read_anew(objects, &dirty, &mut frontends);
        self.put_in_force(&wanted, &frontends, &addresses)
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
            self.waiting.remove(name);
            self.sctp.remove(name);
            frontends.extend(self.owned.remove(name).unwrap_or_default());
            let Some(service) = objects.services.get(name).filter(|service| is_ours(service)) else { continue };
            let sctp = service.ports.iter().filter(|port| port.protocol == Protocol::Sctp).map(|port| port.port);
            let sctp: Vec<u16> = sctp.collect();
            if !sctp.is_empty() {
                self.sctp.insert(name.clone(), sctp);
            }
            // Nothing is read of what has no room: its addresses refuse all of its ports.
            let has_room = self.shares.refusal(name).is_none();
            let choices = if has_room { self.read(objects, service) } else { Vec::new() };
            self.owned.insert(name.clone(), choices.iter().map(|(frontend, _)| *frontend).collect());
            wanted.extend(choices.into_iter().map(|(frontend, choice)| (frontend, (name, choice))));
        }
        wanted
    }

    /// Counts what a Service asks for.
    fn note(&mut self, objects: &Objects, name: &ObjectName) {
        let service = objects.services.get(name).filter(|service| is_ours(service));
        let slices = self.slices.get(name).into_iter().flatten();
        let slices = slices.filter_map(|name| objects.endpoint_slices.get(name)).map(|slice| &**slice);
        self.shares.note(name, service.map(|service| (service.created, Demand::of(service, slices))));
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
}

/// Whether this node's programs serve it.
pub(super) fn is_ours(service: &Service) -> bool {
    service.other_proxy.is_none() && !service.cluster_ips.is_empty()
}

pub(super) fn set_of(frontend: Frontend, served: &Served, set: u32) -> SetOf {
    SetOf { set, backends: Arc::clone(&served.backends), members: served.has_members(frontend.protocol) }
}
