//! What the agent writes to the maps, in order, and what it may find there when it starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{Backend, Frontend};

/// One write, or several whose order does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Backends under a number that nothing names yet.
    WriteSet(SetOf),
    /// One store: from now on the frontend leads to this set.
    SetFrontend {
        /// The frontend.
        frontend: Frontend,
        /// The set's number; 0 where there are no backends.
        set: u32,
        /// How many backends it has.
        count: u32,
        /// For how many seconds a client keeps its backend.
        affinity: Option<u32>,
    },
    /// The address is a Service's: what it has no port for is refused.
    SetAddress(IpAddr),
    /// The Service has this port no more.
    RemoveFrontend(Frontend),
    /// The address is no Service's any more.
    RemoveAddress(IpAddr),
    /// The set is gone; not before a grace after nothing names it.
    RemoveSet(SetOf),
}

/// A set of backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetOf {
    /// Its number.
    pub set: u32,
    /// Its backends, in the order of their places from 0.
    pub backends: Arc<[Backend]>,
    /// Each backend can be found without its place, too.
    pub members: bool,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::WriteSet(one) => write!(f, "set {}: write {} backends", one.set, one.backends.len()),
            Self::SetFrontend { frontend, set, count, .. } => {
                write!(f, "{frontend}: lead to set {set} with {count} backends")
            }
            Self::SetAddress(address) => write!(f, "{address}: refuse other ports"),
            Self::RemoveFrontend(frontend) => write!(f, "{frontend}: remove"),
            Self::RemoveAddress(address) => write!(f, "{address}: no Service's any more"),
            Self::RemoveSet(one) => write!(f, "set {}: remove", one.set),
        }
    }
}

/// What the maps hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Frontends.
    pub ports: BTreeMap<Frontend, FoundPort>,
    /// Services' addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Every set that has an entry, whoever names it: its backends by place, and whether all of them are members.
    pub sets: BTreeMap<u32, SetOf>,
}

/// What a frontend's entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundPort {
    /// The set's number.
    pub set: u32,
    /// How many backends it has.
    pub count: u32,
    /// For how many seconds a client keeps its backend.
    pub affinity: Option<u32>,
}

impl Found {
    /// The maps after a step.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::WriteSet(one) => _ = self.sets.insert(one.set, one.clone()),
            Step::RemoveSet(one) => _ = self.sets.remove(&one.set),
            Step::SetFrontend { frontend, set, count, affinity } => {
                self.ports.insert(*frontend, FoundPort { set: *set, count: *count, affinity: *affinity });
            }
            Step::RemoveFrontend(frontend) => _ = self.ports.remove(frontend),
            Step::SetAddress(address) => _ = self.addresses.insert(*address),
            Step::RemoveAddress(address) => _ = self.addresses.remove(address),
        }
    }
}
