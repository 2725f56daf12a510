//! One address type for both families, so that each stage of the datapath exists once.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IPv6 address, or an IPv4 address as IPv4-mapped (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2). Network byte order.
///
/// An IPv6 header that itself carries `::ffff:0:0/96` is dropped, so that the two never meet.
///
/// Aligned to four bytes, so that the programs copy and compare it by words.
#[repr(C, align(4))]
#[derive(Debug, Clone, Copy, Eq, Hash, PartialOrd, Ord)]
#[expect(clippy::derived_hash_with_manual_eq, reason = "the manual equality is the derived one, by words")]
pub struct Address {
    /// The sixteen octets as they stand in an IPv6 header.
    pub octets: [u8; 16],
}

impl Address {
    /// `::`, which also stands for "none".
    pub const UNSPECIFIED: Self = Self { octets: [0; 16] };

    /// From the four octets of an IPv4 header.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Self::from_words([0, 0, MAPPED, u32::from_ne_bytes(octets)])
    }

    /// From the sixteen octets of an IPv6 header.
    #[inline(always)]
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        Self { octets }
    }

    /// From four words as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u32; 4]) -> Self {
        // SAFETY: sixteen bytes on both sides, every bit pattern is a value, and the alignment is the same.
        unsafe { core::mem::transmute::<[u32; 4], Self>(words) }
    }

    /// Four words as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub const fn words(&self) -> [u32; 4] {
        // SAFETY: as in `from_words`.
        unsafe { core::mem::transmute::<Self, [u32; 4]>(*self) }
    }

    /// Whether this is an IPv4-mapped address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        let words = self.words();
        words[0] == 0 && words[1] == 0 && words[2] == MAPPED
    }

    /// The last four octets: the IPv4 address of an IPv4-mapped one.
    #[inline(always)]
    #[must_use]
    pub const fn last4(&self) -> [u8; 4] {
        [self.octets[12], self.octets[13], self.octets[14], self.octets[15]]
    }

    /// As the standard library's type; `::` for an unset address stays `::`.
    #[must_use]
    pub fn to_ip(&self) -> IpAddr {
        if self.is_v4() { IpAddr::V4(Ipv4Addr::from(self.last4())) } else { IpAddr::V6(Ipv6Addr::from(self.octets)) }
    }
}

/// The third word of an IPv4-mapped address.
const MAPPED: u32 = 0xffff_u32.to_be();

impl PartialEq for Address {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.words(), other.words());
        // From the end, where addresses differ.
        a[3] == b[3] && a[2] == b[2] && a[1] == b[1] && a[0] == b[0]
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::v4(ip.octets()),
            IpAddr::V6(ip) => Self::v6(ip.octets()),
        }
    }
}
