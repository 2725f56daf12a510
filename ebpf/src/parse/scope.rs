//! Which addresses are of the link, or of many, and not of one pod or host.

use ferrule_common::Address;

/// IPv6 link-local unicast, `fe80::/10`.
#[inline(always)]
pub const fn is_link_local_v6(address: &Address) -> bool {
    first(address) & 0xffc0_0000 == 0xfe80_0000
}

/// IPv6 multicast, `ff00::/8`.
#[inline(always)]
pub const fn is_multicast_v6(address: &Address) -> bool {
    first(address) >> 24 == 0xff
}

/// IPv4 multicast, the reserved `240.0.0.0/4`, and limited broadcast.
#[inline(always)]
pub const fn is_multicast_v4(address: &Address) -> bool {
    u32::from_be(address.words()[3]) >= 0xe000_0000
}

/// IPv4 loopback, `127.0.0.0/8`, and this network, `0.0.0.0/8` (RFC 1122 section 3.2.1.3); IPv6 loopback and unspecified.
#[inline(always)]
pub const fn is_of_host(address: &Address, v4: bool) -> bool {
    let words = address.words();
    let last = u32::from_be(words[3]);
    if v4 { matches!(last >> 24, 0 | 127) } else { words[0] | words[1] | words[2] == 0 && last <= 1 }
}

/// The first word, in host byte order.
#[inline(always)]
const fn first(address: &Address) -> u32 {
    u32::from_be(address.words()[0])
}
