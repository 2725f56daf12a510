//! `fr_routes` and `fr_cidrs`: longest-prefix matches. The family stands before the address, so that `::/0` holds no
//! IPv4 address.

use crate::Address;

/// The data of a longest-prefix key, after aya's (and the kernel's) `u32` prefix length.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PrefixKey {
    /// `[4, 0, 0, 0]` or `[6, 0, 0, 0]`: all 32 bits are part of every prefix.
    pub family: [u8; 4],
    /// The prefix, host bits zero, as in [`Address::octets`].
    pub address: [u8; 16],
}

/// Bits of [`PrefixKey::family`].
pub const FAMILY_BITS: u32 = 32;
/// Bits of a key that holds a whole address.
pub const FULL_BITS: u32 = FAMILY_BITS + 128;

impl PrefixKey {
    /// The key that asks for `address`; `v4` says which family.
    #[inline(always)]
    #[must_use]
    pub const fn of(address: Address, v4: bool) -> Self {
        Self { family: family(v4), address: address.octets }
    }

    /// The key of a prefix of `fr_blocks`: the generation of classes stands beside the family.
    #[must_use]
    pub const fn of_generation(address: Address, v4: bool, generation: u32) -> Self {
        let [family, ..] = family(v4);
        Self { family: [family, generation.to_le_bytes()[0], 0, 0], address: address.octets }
    }

    /// The number of significant bits of a prefix with `bits` bits in its own family.
    #[must_use]
    pub const fn bits(bits: u8, v4: bool) -> u32 {
        FAMILY_BITS + if v4 { 96 } else { 0 } + bits as u32
    }
}

const fn family(v4: bool) -> [u8; 4] {
    [if v4 { 4 } else { 6 }, 0, 0, 0]
}

/// A lookup's key as the kernel reads it: prefix length, family, address; by words, for the programs.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Lookup {
    bits: u32,
    family: u32,
    address: Address,
}

impl Lookup {
    /// Asks for the longest prefix that holds `address`.
    #[inline(always)]
    #[must_use]
    pub const fn of(address: Address, v4: bool) -> Self {
        Self { bits: FULL_BITS, family: u32::from_ne_bytes(family(v4)), address }
    }

    /// Asks `fr_blocks` for the longest prefix of a generation that holds `address`.
    #[inline(always)]
    #[must_use]
    pub const fn of_generation(address: Address, v4: bool, generation: u32) -> Self {
        let [family, ..] = family(v4);
        Self { bits: FULL_BITS, family: u32::from_ne_bytes([family, generation.to_le_bytes()[0], 0, 0]), address }
    }
}

/// The value of `fr_routes`: who owns a pod CIDR.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Index into `fr_nodes`, or [`crate::peer::SELF`].
    pub node: u32,
}

/// The value of `fr_cidrs`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    /// [`CLUSTER`].
    pub flags: u32,
}

/// [`Cidr::flags`]: addresses of the cluster; one that nobody owns is unreachable and never leaves the node.
pub const CLUSTER: u32 = 1;
