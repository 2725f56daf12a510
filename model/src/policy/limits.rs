//! What the maps have room for, and how much of it a pod and a namespace may ask for.

use ferrule_common::policy::TABLE_BITS;

use super::demand::Demand;

/// The table that is always empty, so that a direction can be closed however full everything is: the highest number that a
/// word has room for. Nobody writes it.
pub const CLOSED: u32 = (1 << TABLE_BITS) - 1;

/// How many entries fit, and shares of them. What is superseded counts until [`super::Engine::retire`] removed it, so that
/// a change needs room for what was and what shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Keys of all tables.
    pub keys: usize,
    /// The highest table number; below [`super::CLOSED`].
    pub tables: u32,
    /// Known addresses.
    pub addresses: usize,
    /// Prefixes of blocks.
    pub blocks: usize,
    /// What the policies of a pod may ask for in one direction: of one table.
    pub of_pod: Demand,
    /// What the tables of a namespace's pods may ask for together.
    pub of_namespace: Demand,
    /// What a namespace may ask for and yet find room that others' larger ones cannot take: a quarter of the keys
    /// and of the prefixes.
    pub modest: Demand,
}

/// What a pod may ask for in one direction, also what one NetworkPolicy may ask for.
pub const OF_POD: Demand = Demand { keys: 32_768, prefixes: 4_096, selectors: 1_024 };

impl Default for Limits {
    fn default() -> Self {
        Self {
            keys: 262_144,
            tables: CLOSED - 1,
            addresses: 262_144,
            blocks: 65_536,
            of_pod: OF_POD,
            of_namespace: Demand { keys: 65_536, prefixes: 8_192, selectors: 2_048 },
            modest: Demand { keys: 1_024, prefixes: 64, selectors: 64 },
        }
    }
}

impl Limits {
    /// How many keys there may be in all, once a namespace that asks for so much has got its own.
    pub(super) fn keys_for(&self, asked: Demand) -> usize {
        self.room_for(asked, self.keys)
    }

    /// The same of prefixes.
    pub(super) fn blocks_for(&self, asked: Demand) -> usize {
        self.room_for(asked, self.blocks)
    }

    fn room_for(&self, asked: Demand, room: usize) -> usize {
        if asked.excess(&self.modest).is_none() { room } else { room - room / 4 }
    }
}
