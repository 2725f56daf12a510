//! Who gets room where Services ask for more than there is.
//!
//! A namespace has a share, and of what all ask for together beyond the room nobody gets more than a level that all are held
//! to: who asks for little gets all of it, whatever others ask. Within a namespace the eldest Services have room first, of
//! each its addresses before anybody's ports: an address that is known and has no port is refused, one that is not known is
//! taken for somebody outside. All of a Service's ports have room or none.
//!
//! Nothing of it depends on the order in which objects came.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    demand::Demand,
    room::{Amounts, Limits, MAPS},
};
use crate::objects::ObjectName;

/// Namespaces that hold the cluster's own Services: `kubernetes` and `kube-dns`.
const SYSTEM: [&str; 2] = ["default", "kube-system"];

/// Why a Service's ports are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its namespace asks for too much of this map, of [`MAPS`]; not even its addresses have room where `unknown`.
    Share { map: usize, quota: usize, unknown: bool },
    /// A port has too many endpoints.
    Many { backends: usize },
}

#[derive(Debug, Default)]
struct Namespace {
    /// What its Services ask for together.
    asked: Amounts,
    /// The eldest first.
    services: BTreeSet<(u64, ObjectName)>,
    /// How many of them have a port with too many endpoints.
    many: usize,
    refused: BTreeMap<ObjectName, Refusal>,
}

/// What Services ask for, and who gets it.
#[derive(Debug)]
pub(super) struct Shares {
    /// What may be in force.
    room: Amounts,
    share: Amounts,
    kept: Amounts,
    of_one: usize,
    demands: HashMap<ObjectName, (u64, Demand)>,
    namespaces: BTreeMap<Arc<str>, Namespace>,
    /// What namespaces ask for of what is nobody's own, each at most its share.
    common: Amounts,
    level: Amounts,
    /// Namespaces whose Services changed since they were settled.
    touched: BTreeSet<Arc<str>>,
}

/// Whether a namespace is one of the cluster's own.
pub(super) fn is_system(namespace: &str) -> bool {
    SYSTEM.contains(&namespace)
}

impl Shares {
    pub fn new(limits: &Limits) -> Self {
        let room = limits.in_force();
        let (share, kept) = (room.part(limits.parts), room.part(limits.kept));
        Self {
            room: room.minus(kept).minus(kept),
            share,
            kept,
            of_one: limits.of_one,
            demands: HashMap::new(),
            namespaces: BTreeMap::new(),
            common: Amounts::default(),
            level: share,
            touched: BTreeSet::new(),
        }
    }

    /// What a Service asks for from now on, and when it was created.
    pub fn note(&mut self, name: &ObjectName, asks: Option<(u64, Demand)>) {
        let before = self.demands.get(name).copied();
        if before == asks {
            return;
        }
        let mut namespace = self.namespaces.remove(&name.namespace).unwrap_or_default();
        self.common = self.common.minus(self.common_of(&name.namespace, &namespace));
        if let Some((created, demand)) = before {
            namespace.asked = namespace.asked.minus(self.counted(&demand));
            namespace.services.remove(&(created, name.clone()));
            namespace.many -= usize::from(self.is_many(&demand));
            self.demands.remove(name);
        }
        if let Some((created, demand)) = asks {
            namespace.asked = namespace.asked.plus(self.counted(&demand));
            namespace.services.insert((created, name.clone()));
            namespace.many += usize::from(self.is_many(&demand));
            self.demands.insert(name.clone(), (created, demand));
        }
        self.common = self.common.plus(self.common_of(&name.namespace, &namespace));
        self.touched.insert(Arc::clone(&name.namespace));
        self.namespaces.insert(Arc::clone(&name.namespace), namespace);
    }

    /// Decides anew where something changed; those whose lot is another now.
    pub fn settle(&mut self) -> BTreeSet<ObjectName> {
        let mut touched = std::mem::take(&mut self.touched);
        let level = self.new_level();
        if level != self.level {
            let lower = level.at_most(self.level);
            self.level = level;
            let held = self.namespaces.iter().filter(|(name, one)| self.common_of(name, one).beyond(lower).is_some());
            touched.extend(held.map(|(name, _)| Arc::clone(name)));
        }
        let mut others = BTreeSet::new();
        for name in touched {
            let Some(namespace) = self.namespaces.get(&name) else { continue };
            let refused = self.decide(&name, namespace);
            let Some(namespace) = self.namespaces.get_mut(&name) else { continue };
            let known = |one: &BTreeMap<ObjectName, Refusal>, name: &ObjectName| one.get(name).copied();
            let all = refused.keys().chain(namespace.refused.keys());
            others.extend(all.filter(|name| known(&refused, name) != known(&namespace.refused, name)).cloned());
            namespace.refused = refused;
            if namespace.services.is_empty() {
                self.namespaces.remove(&name);
            }
        }
        others
    }

    /// Why a Service's ports are refused, if they are.
    pub fn refusal(&self, name: &ObjectName) -> Option<Refusal> {
        self.namespaces.get(&name.namespace)?.refused.get(name).copied()
    }

    /// All that are refused.
    pub fn refused(&self) -> impl Iterator<Item = (&ObjectName, Refusal)> {
        self.namespaces.values().flat_map(|one| one.refused.iter().map(|(name, refusal)| (name, *refusal)))
    }

    /// What a Service counts with: one that is refused for itself counts with its addresses.
    fn counted(&self, demand: &Demand) -> Amounts {
        let ports = if self.is_many(demand) { Amounts::default() } else { demand.ports };
        ports.plus(Amounts([demand.addresses, 0, 0]))
    }

    const fn is_many(&self, demand: &Demand) -> bool {
        demand.most > self.of_one
    }

    fn own(&self, name: &str) -> Amounts {
        if is_system(name) { self.kept } else { Amounts::default() }
    }

    /// What a namespace asks for of what is nobody's own.
    fn common_of(&self, name: &str, namespace: &Namespace) -> Amounts {
        namespace.asked.at_most(self.share).minus(self.own(name))
    }

    /// What each may have of it: the share, or where that is too much for all the most that is not.
    fn new_level(&self) -> Amounts {
        let mut level = self.share;
        for map in (0..MAPS.len()).filter(|map| self.common.0[*map] > self.room.0[*map]) {
            let asked = self.namespaces.iter().map(|(name, one)| self.common_of(name, one).0[map]);
            let mut asked: Vec<usize> = asked.filter(|asked| *asked != 0).collect();
            asked.sort_unstable();
            let (mut rest, mut many) = (self.room.0[map], asked.len());
            for asked in asked {
                if asked > rest / many {
                    break;
                }
                (rest, many) = (rest - asked, many - 1);
            }
            level.0[map] = rest.checked_div(many).map_or(self.share.0[map], |each| each.min(self.share.0[map]));
        }
        level
    }

    fn decide(&self, name: &str, namespace: &Namespace) -> BTreeMap<ObjectName, Refusal> {
        let quota = self.level.plus(self.own(name)).at_most(self.share);
        let mut refused = BTreeMap::new();
        let demands = || namespace.services.iter().filter_map(|(_, name)| Some((name, self.demands.get(name)?.1)));
        if namespace.asked.beyond(quota).is_none() {
            // Most have none, and cost nothing.
            let demands = (namespace.many != 0).then(demands).into_iter().flatten();
            let too_many = demands.filter(|(_, demand)| self.is_many(demand));
            refused.extend(too_many.map(|(name, demand)| (name.clone(), Refusal::Many { backends: demand.most })));
            return refused;
        }
        let mut given = Amounts::default();
        let mut give = |more: Amounts| {
            let beyond = given.plus(more).beyond(quota);
            if beyond.is_none() {
                given = given.plus(more);
            }
            beyond
        };
        for (name, demand) in demands() {
            if let Some(map) = give(Amounts([demand.addresses, 0, 0])) {
                refused.insert(name.clone(), Refusal::Share { map, quota: quota.0[map], unknown: true });
            }
        }
        for (name, demand) in demands() {
            if refused.contains_key(name) {
                continue;
            }
            if self.is_many(&demand) {
                refused.insert(name.clone(), Refusal::Many { backends: demand.most });
            } else if let Some(map) = give(demand.ports) {
                refused.insert(name.clone(), Refusal::Share { map, quota: quota.0[map], unknown: false });
            }
        }
        refused
    }
}
