//! How much the maps hold, and how much of it is in use.

use super::SetOf;

/// How much the maps hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Frontends and addresses together.
    pub frontends: usize,
    /// Backends of all sets, those that are about to go included.
    pub backends: usize,
    /// The same of sets whose backends are members.
    pub members: usize,
    /// Backends of one set.
    pub of_one: usize,
    /// The highest number of a set.
    pub sets: u32,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Services that this node serves.
    pub services: usize,
    /// Their ports, by family.
    pub frontends: usize,
    /// Entries for backends, those that are about to go included.
    pub backends: usize,
    /// Entries for members.
    pub members: usize,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Used {
    pub backends: usize,
    pub members: usize,
}

impl Used {
    pub fn add(&mut self, one: &SetOf) {
        self.backends += one.backends.len();
        self.members += if one.members { one.backends.len() } else { 0 };
    }

    pub fn subtract(&mut self, one: &SetOf) {
        self.backends = self.backends.saturating_sub(one.backends.len());
        self.members = self.members.saturating_sub(if one.members { one.backends.len() } else { 0 });
    }
}
