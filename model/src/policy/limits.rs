//! What the maps have room for.

/// How many entries fit. What is superseded counts until [`super::Engine::retire`] removed it, so that a change needs
/// room for what was and what shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Keys of all tables.
    pub keys: usize,
    /// The highest table number; at most 16,383.
    pub tables: u32,
    /// Known addresses.
    pub addresses: usize,
    /// Prefixes of blocks.
    pub blocks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { keys: 1_000_000, tables: 16_383, addresses: 262_144, blocks: 65_536 }
    }
}
