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
    /// A namespace has at most one of so many parts of what may be in force.
    pub parts: usize,
    /// Each of the cluster's own namespaces has one of so many parts for itself; 0 for none.
    pub kept: usize,
}

impl Limits {
    /// What may be in force. Of sets it is half: a set is written before the one that it takes the place of goes, and an
    /// agent that starts may find all of them written by another.
    pub(super) const fn in_force(&self) -> Amounts {
        Amounts([self.frontends, self.backends / 2, self.members / 2])
    }

    /// What the cluster's own namespaces have of so many entries for themselves.
    pub(super) fn kept_of(&self, capacity: usize) -> usize {
        capacity.checked_div(self.kept).unwrap_or_default()
    }
}

/// Entries of each of [`MAPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Amounts(pub [usize; 3]);

/// The maps that are shared out.
pub(super) const MAPS: [&str; 3] = ["fr_services", "fr_backends", "fr_svc_members"];

impl Amounts {
    pub fn plus(self, other: Self) -> Self {
        Self(std::array::from_fn(|map| self.0[map].saturating_add(other.0[map])))
    }

    pub fn minus(self, other: Self) -> Self {
        Self(std::array::from_fn(|map| self.0[map].saturating_sub(other.0[map])))
    }

    pub fn at_most(self, other: Self) -> Self {
        Self(std::array::from_fn(|map| self.0[map].min(other.0[map])))
    }

    /// One of so many parts; none for 0.
    pub fn part(self, parts: usize) -> Self {
        Self(self.0.map(|amount| amount.checked_div(parts).unwrap_or_default()))
    }

    /// The first map of which it is more than the other.
    pub fn beyond(self, other: Self) -> Option<usize> {
        (0..MAPS.len()).find(|map| self.0[*map] > other.0[*map])
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Services that this node serves.
    pub services: usize,
    /// Services whose ports it refuses, since their namespace asks for too much.
    pub refused: usize,
    /// Entries for their ports and addresses.
    pub frontends: usize,
    /// Ports alone, by family.
    pub ports: usize,
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
