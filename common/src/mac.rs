//! Ethernet addresses.

use crate::Address;

/// An Ethernet address as it lies in a frame. Aligned to two bytes, as it is there.
#[repr(C, align(2))]
#[derive(Debug, Clone, Copy, Eq)]
pub struct Mac {
    /// In the order of transmission.
    pub octets: [u8; 6],
}

impl Mac {
    /// From the octets in the order of transmission.
    #[must_use]
    pub const fn new(octets: [u8; 6]) -> Self {
        Self { octets }
    }

    /// The link-local address that an interface makes from its MAC (RFC 4291 appendix A).
    #[inline(always)]
    #[must_use]
    pub const fn link_local(&self) -> Address {
        let [a, b, c, d, e, f] = self.octets;
        let interface = [u32::from_ne_bytes([a ^ 2, b, c, 0xff]), u32::from_ne_bytes([0xfe, d, e, f])];
        Address::from_words([u32::from_ne_bytes([0xfe, 0x80, 0, 0]), 0, interface[0], interface[1]])
    }

    /// As three halves as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn halves(&self) -> [u16; 3] {
        // SAFETY: six bytes on both sides, every bit pattern is a value, and the alignment is the same.
        unsafe { core::mem::transmute::<Self, [u16; 3]>(*self) }
    }
}

impl PartialEq for Mac {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.halves(), other.halves());
        a[0] == b[0] && a[1] == b[1] && a[2] == b[2]
    }
}
