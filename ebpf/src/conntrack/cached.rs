//! An entry of the flow cache.

use ferrule_common::Address;

/// Flows that a CPU remembers are at most two to this.
pub const BITS: u32 = 10;

/// One direction of a flow with ports: a cache line.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CachedFlow {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) ports: u32,
    /// The protocol's number below [`ANSWER`], and above it the verdict's answer.
    pub(super) told: u32,
    pub(super) source_word: u64,
    pub(super) destination_word: u64,
    /// As in the table.
    pub(super) seen: u32,
    pub(super) removals: u32,
}

const _: () = assert!(size_of::<CachedFlow>() == 64);
