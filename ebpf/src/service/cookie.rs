//! Cookies of sockets and network namespaces, as maps have them.

/// A cookie as keys hold it, which have no eight-byte fields.
#[inline(always)]
pub const fn halves(cookie: u64) -> [u32; 2] {
    [cookie as u32, (cookie >> 32) as u32]
}
