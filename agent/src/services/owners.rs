//! Whose sockets ask Services: each pod and the node has a share of the maps that sockets fill, and is known by the cookie of
//! its network namespace before anything runs in it. What is not known shares with all that is not.
//!
//! Where the kernel tells no cookies (before 5.14), the programs note each namespace that asks, and those that hold nothing
//! are forgotten here.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use aya::maps::MapError;
use ferrule_api::chain::chain;
use ferrule_common::{
    owner::{self, Owner, STRANGERS},
    service::SocketKey,
};
use ferrule_kernel::{
    bpf::{Held, OwnerMaps},
    net::{cookie, sockets},
};

use super::recount::{Counts, agreed, counted, mended, surplus};

/// The owners of this node.
pub struct Owners(Mutex<Inner>);

struct Inner {
    maps: OwnerMaps,
    /// The node's own; none where the kernel does not tell.
    node: Option<[u32; 2]>,
    /// Pods', by the paths of their namespaces.
    pods: HashMap<String, [u32; 2]>,
    /// What the last look found too much.
    surplus: HashMap<[u32; 2], Counts>,
    /// The same of all together.
    surplus_of_all: Counts,
    /// Sockets of TCP that the last look found nowhere.
    missing: HashSet<[u32; 2]>,
    /// What was refused to owners that have gone.
    refused: u64,
}

impl Owners {
    /// Over the pinned maps; of a former agent's owners those that are gone go with the first [`Owners::follow`].
    #[must_use]
    pub fn new(maps: OwnerMaps) -> Self {
        Self(Mutex::new(Inner {
            maps,
            node: cookie::own().ok(),
            pods: HashMap::new(),
            surplus: HashMap::new(),
            surplus_of_all: Counts::default(),
            missing: HashSet::new(),
            refused: 0,
        }))
    }

    /// A pod comes: its sockets have a share of their own. A pod that cannot be told from strangers shares with them.
    pub fn know(&self, netns: &str) {
        let mut inner = self.lock();
        if inner.node.is_some()
            && let Err(error) = inner.know(netns)
        {
            tracing::warn!(netns, error = chain(&*error), "the pod's sockets share their room with strangers'");
        }
    }

    /// These are the pods' namespaces: others have gone.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn follow(&self, netns: &BTreeSet<String>) -> Result<(), MapError> {
        let mut inner = self.lock();
        let Some(node) = inner.node else { return inner.forget_idle() };
        inner.maps.know(node)?;
        inner.pods.retain(|path, _| netns.contains(path));
        for path in netns {
            if !inner.pods.contains_key(path) {
                // One that has gone goes with its lease.
                let _ = inner.know(path);
            }
        }
        let mut known: HashSet<[u32; 2]> = inner.pods.values().copied().collect();
        known.extend([node, STRANGERS]);
        let gone: Vec<_> = inner.maps.all()?.into_iter().filter(|(owner, _)| !known.contains(owner)).collect();
        gone.into_iter().try_for_each(|(owner, counts)| inner.forget(owner, counts))
    }

    /// Mends counts that are wrong for two looks in a row.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn recount(&self, held: &Held) -> Result<(), MapError> {
        let mut inner = self.lock();
        let (owners, all) = counted(held);
        let last = std::mem::take(&mut inner.surplus);
        for (owner, stored) in inner.maps.all()? {
            let found = surplus(&stored, owners.get(&owner).copied().unwrap_or_default());
            let wrong = agreed(last.get(&owner).copied().unwrap_or_default(), found);
            if wrong == Counts::default() {
                inner.surplus.insert(owner, found);
            } else if let Some(now) = inner.maps.get(owner)? {
                inner.maps.set(owner, mended(now, wrong))?;
            }
        }
        let found = surplus(&inner.maps.totals()?, all);
        let wrong = agreed(std::mem::replace(&mut inner.surplus_of_all, found), found);
        if wrong != Counts::default() {
            inner.surplus_of_all = Counts::default();
            let now = inner.maps.totals()?;
            inner.maps.set_totals(mended(now, wrong))?;
        }
        Ok(())
    }

    /// Entries of TCP sockets that are not there any more, of owners that have many: a socket of MPTCP closes without a word
    /// about the one that was connected for it. What two looks miss has gone.
    pub(super) fn gone(&self, held: &Held) -> Vec<SocketKey> {
        let mut inner = self.lock();
        let (owners, _) = counted(held);
        let many = |owner: &[u32; 2]| {
            owners.get(owner).is_some_and(|[_, streams, _]| *streams >= i64::from(owner::STREAMS.share / 2))
        };
        let mut places: HashMap<[u32; 2], Option<&str>> = HashMap::new();
        places.extend(inner.node.filter(many).map(|node| (node, None)));
        let pods = inner.pods.iter().filter(|(_, owner)| many(owner));
        places.extend(pods.map(|(path, owner)| (*owner, Some(path.as_str()))));
        let mut missing = HashSet::new();
        for (owner, path) in places {
            let there = match sockets::streams(path) {
                Ok(there) => there,
                Err(error) => {
                    tracing::warn!(%error, netns = path.unwrap_or("this node's"), "TCP sockets cannot be listed");
                    continue;
                }
            };
            let own = held.streams.iter().filter(|(_, stream)| stream.owner == owner);
            missing.extend(own.map(|(key, _)| key.cookie).filter(|cookie| !there.contains(cookie)));
        }
        let last = std::mem::replace(&mut inner.missing, missing);
        let keys = held.streams.iter().map(|(key, _)| *key);
        keys.filter(|key| last.contains(&key.cookie) && inner.missing.contains(&key.cookie)).collect()
    }

    /// What all hold together, and what was refused so far.
    #[must_use]
    pub fn totals(&self) -> Owner {
        let inner = self.lock();
        let refused = inner.maps.all().unwrap_or_default().values().map(|one| one.refused).sum::<u64>();
        Owner { refused: refused + inner.refused, ..inner.maps.totals().unwrap_or_default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn know(&mut self, netns: &str) -> Result<(), Box<dyn std::error::Error>> {
        let owner = cookie::of(netns)?;
        self.maps.know(owner)?;
        self.pods.insert(netns.to_owned(), owner);
        Ok(())
    }

    fn forget(&mut self, owner: [u32; 2], counts: Owner) -> Result<(), MapError> {
        self.maps.forget(owner)?;
        self.surplus.remove(&owner);
        self.refused += counts.refused;
        Ok(())
    }

    fn forget_idle(&mut self) -> Result<(), MapError> {
        let idle = |(owner, counts): &([u32; 2], Owner)| {
            *owner != STRANGERS && (Owner { refused: 0, ..*counts }) == Owner::default()
        };
        let idle: Vec<_> = self.maps.all()?.into_iter().filter(idle).collect();
        idle.into_iter().try_for_each(|(owner, counts)| self.forget(owner, counts))
    }
}
