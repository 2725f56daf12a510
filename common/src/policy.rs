//! What may pass: `fr_ep_state`, `fr_tables`, `fr_policy`, `fr_classes` and `fr_blocks`.
//!
//! ```text
//! endpoint ── fr_ep_state ──▶ ingress table, egress table, epoch (one word)
//! peer's address ── fr_classes, else fr_blocks, else 0 ──▶ class
//! table, class, protocol, port ── fr_policy ──▶ the rule that allows it; none: denied
//! ```
//!
//! Rules only allow, as NetworkPolicy's do, so that what matches first decides. A table is written before a word names
//! its number, and keeps its number's meaning until no word and no program on its way can name it.

use crate::Address;

/// What holds for an endpoint: the table of each direction, 0 where it is not isolated, and the epoch.
///
/// One aligned word, since a program that loads it must see all of it as it was at one moment. The word 0 belongs to an
/// index whose policy is not known: nothing passes.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(pub u64);

/// Bits of a table's number in a [`Word`].
pub const TABLE_BITS: u32 = 14;
/// Bits of an epoch in a [`Word`].
pub const EPOCH_BITS: u32 = 64 - 2 * TABLE_BITS;
/// The index of `fr_ep_state` that holds the last epoch that was given: no endpoint has it.
pub const EPOCH_INDEX: u32 = 0;

const TABLE_MASK: u64 = (1 << TABLE_BITS) - 1;

impl Word {
    /// The word of an index that has no policy yet.
    pub const UNKNOWN: Self = Self(0);

    /// From its parts; higher bits of a part are cut off.
    #[must_use]
    pub const fn new(ingress: u32, egress: u32, epoch: u64) -> Self {
        Self((ingress as u64 & TABLE_MASK) | (egress as u64 & TABLE_MASK) << TABLE_BITS | epoch << (2 * TABLE_BITS))
    }

    /// The table of what comes to the endpoint; 0: all of it may.
    #[inline(always)]
    #[must_use]
    pub const fn ingress(self) -> u32 {
        (self.0 & TABLE_MASK) as u32
    }

    /// The table of what the endpoint sends; 0: it may send all.
    #[inline(always)]
    #[must_use]
    pub const fn egress(self) -> u32 {
        (self.0 >> TABLE_BITS & TABLE_MASK) as u32
    }

    /// A number that no store used before.
    #[must_use]
    pub const fn epoch(self) -> u64 {
        self.0 >> (2 * TABLE_BITS)
    }
}

value! {
    /// The value of `fr_tables`: what has to be asked for. All zero: the table allows nothing.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Table {
        /// Bits 0 to 16: the lengths of port prefixes in use; [`ANY_PROTOCOL`], [`BY_CLASS`], [`BY_POD`], [`BY_ANYONE`].
        pub uses: u32,
        /// The generation of classes that it is written in.
        pub generation: u32,
    }
}

/// [`Table::uses`]: there are keys with protocol 0, which stand for every protocol and port.
pub const ANY_PROTOCOL: u32 = 1 << 20;
/// [`Table::uses`]: there are keys with classes of their own.
pub const BY_CLASS: u32 = 1 << 21;
/// [`Table::uses`]: there are keys with [`ANY_POD`].
pub const BY_POD: u32 = 1 << 22;
/// [`Table::uses`]: there are keys with [`ANYONE`].
pub const BY_ANYONE: u32 = 1 << 23;

/// The class that every peer has.
pub const ANYONE: u32 = 0;
/// The class that every pod has.
pub const ANY_POD: u32 = 1;
/// The first class that stands for a set of selectors and CIDRs.
pub const FIRST_CLASS: u32 = 2;

value! {
    /// The key of `fr_policy`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub struct RuleKey {
        /// The table.
        pub table: u32,
        /// The peer's class, [`ANY_POD`] or [`ANYONE`].
        pub class: u32,
        /// A destination port, host byte order; bits beyond the prefix are zero.
        pub port: u16,
        /// How many bits of the port count, 0 to 16.
        pub port_bits: u8,
        /// The protocol's number, or 0 for every one, ports or not.
        pub protocol: u8,
    }
}

value! {
    /// The value of `fr_policy`: it may pass.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Rule {
        /// The number of the rule that allows it, which the agent can name.
        pub rule: u32,
        /// Zero.
        pub pad: u32,
    }
}

value! {
    /// The key of `fr_classes`: a pod's address.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct ClassKey {
        /// The address.
        pub address: Address,
        /// The generation, as in [`Table::generation`].
        pub generation: u32,
    }
}

value! {
    /// The value of `fr_classes`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Class {
        /// The class; [`ANY_POD`] where nothing tells the pod apart.
        pub class: u32,
        /// 1 if it is a pod; 0 if it is judged by its address alone (a local endpoint that no object names).
        pub pod: u32,
    }
}

value! {
    /// The value of `fr_blocks`: the class of addresses that are no pod's.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Block {
        /// The class, or [`ANYONE`] for a hole.
        pub class: u32,
    }
}

impl ClassKey {
    /// The key of an address.
    #[inline(always)]
    #[must_use]
    pub const fn of(address: Address, generation: u32) -> Self {
        Self { address, generation }
    }
}

/// Generations of classes: an agent that starts writes all classes anew, beside those that are in force. Their number
/// is part of keys; it runs in a circle from 1.
pub const GENERATIONS: u32 = 255;

/// The order in which a flow's two ends stand in its key.
#[inline(always)]
#[must_use]
pub const fn is_lower(address: &Address, port: u16, other: &Address, other_port: u16) -> bool {
    let (a, b) = (address.words(), other.words());
    // The order of words as they lie in memory: any order serves, as long as both directions agree.
    if a[3] != b[3] {
        return a[3] < b[3];
    }
    if a[2] != b[2] {
        return a[2] < b[2];
    }
    if a[1] != b[1] {
        return a[1] < b[1];
    }
    if a[0] != b[0] {
        return a[0] < b[0];
    }
    port <= other_port
}
