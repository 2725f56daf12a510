//! The maps of `ferrule_common::owner`: which network namespaces are known, and how much each has.

use std::collections::HashMap as Known;

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use ferrule_common::owner::Owner;

use super::{absent::absent_is_fine, error::LoadError};

/// Programs count in them; the agent says who is known, and mends counts.
pub struct OwnerMaps {
    owners: HashMap<MapData, [u32; 2], Owner>,
    totals: Array<MapData, Owner>,
}

impl OwnerMaps {
    pub(super) fn new(owners: Map, totals: Map) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        Ok(Self {
            owners: owners.try_into().map_err(failed("fr_svc_owners"))?,
            totals: totals.try_into().map_err(failed("fr_svc_totals"))?,
        })
    }

    /// How much each owner has.
    ///
    /// # Errors
    /// The kernel's.
    pub fn all(&self) -> Result<Known<[u32; 2], Owner>, MapError> {
        self.owners.iter().collect()
    }

    /// How much one has; none if it is not known.
    ///
    /// # Errors
    /// The kernel's.
    pub fn get(&self, owner: [u32; 2]) -> Result<Option<Owner>, MapError> {
        match self.owners.get(&owner, 0) {
            Ok(counts) => Ok(Some(counts)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How much all have together.
    ///
    /// # Errors
    /// The kernel's.
    pub fn totals(&self) -> Result<Owner, MapError> {
        self.totals.get(&0, 0)
    }

    /// From now on a namespace has a share of its own; what it has already stays counted.
    ///
    /// # Errors
    /// The kernel's, and where there is no room for another.
    pub fn know(&mut self, owner: [u32; 2]) -> Result<(), MapError> {
        if self.get(owner)?.is_some() {
            return Ok(());
        }
        self.owners.insert(owner, Owner::default(), 0)
    }

    /// A namespace has gone.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget(&mut self, owner: [u32; 2]) -> Result<(), MapError> {
        absent_is_fine(self.owners.remove(&owner))
    }

    /// Writes an owner's counts, if it is still there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set(&mut self, owner: [u32; 2], counts: Owner) -> Result<(), MapError> {
        const THERE: u64 = 2;
        absent_is_fine(self.owners.insert(owner, counts, THERE))
    }

    /// Writes what all have together.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_totals(&mut self, counts: Owner) -> Result<(), MapError> {
        self.totals.set(0, counts, 0)
    }
}
