//! A share of each map for one agent's reckoning, so that one that starts fits beside what is in force.

use ferrule_common::layout;
use ferrule_model::policy::{CLOSED, Limits};

/// Keys that one agent's reckoning may take: what it superseded included, beside as many of the agent before.
pub const KEYS: u32 = layout::POLICY / 2;
/// The same of addresses.
pub const CLASSES: u32 = layout::CLASSES / 2;
/// The same of prefixes.
pub const BLOCKS: u32 = layout::BLOCKS / 2;
/// Tables; each endpoint has two at most, so that those of two agents find numbers.
pub const TABLES: u32 = CLOSED - 1;

pub(super) fn limits() -> Limits {
    let room = |entries: u32| entries as usize;
    Limits { keys: room(KEYS), tables: TABLES, addresses: room(CLASSES), blocks: room(BLOCKS), ..Limits::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_agents_reckonings_fit_side_by_side() {
        let limits = limits();
        assert!(2 * limits.keys <= layout::POLICY as usize);
        assert!(2 * limits.addresses <= layout::CLASSES as usize);
        assert!(2 * limits.blocks <= layout::BLOCKS as usize);
        // Two directions of each endpoint, twice.
        assert!(4 * (layout::entries(4096) - 1).min(4095) <= limits.tables && limits.tables < layout::TABLES);
    }
}
