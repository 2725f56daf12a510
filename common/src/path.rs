//! `fr_sent`: which nodes were sent something large through the tunnel of late, by which source port.

/// The value of `fr_sent`: a destination's and a source port's tag in the lower half, and jiffies in the upper one. One
/// aligned word, since programs of several CPUs write it.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent(pub u64);

impl Sent {
    /// Entries of `fr_sent`.
    pub const SLOTS: u32 = 1024;

    /// From its parts.
    #[inline(always)]
    #[must_use]
    pub const fn new(tag: u32, at: u32) -> Self {
        Self(tag as u64 | (at as u64) << 32)
    }

    /// Names a destination and a source port.
    #[inline(always)]
    #[must_use]
    pub const fn tag(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    /// When it was sent: the low half of the kernel's jiffies.
    #[inline(always)]
    #[must_use]
    pub const fn at(self) -> u32 {
        (self.0 >> 32) as u32
    }
}
