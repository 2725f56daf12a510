//! NetworkPolicy for the endpoints of one node, compiled into what the datapath's maps hold; incremental, so that a
//! change costs what it changes.
//!
//! ```text
//! policies ─ those that select an endpoint ─▶ rule ─▶ tables: clauses by term ───────────┐
//!                                              └─▶ terms: what clauses ask of a peer     ├─▶ keys
//! pods, namespaces, leases ─▶ addresses ─ which terms each fulfils ─▶ classes, blocks ───┘
//! ```
//!
//! Terms belong to the live tables: what no table asks for tells nobody apart, and without a table there is nothing but
//! the objects' pointers. Every class has its keys in every live table, those that are superseded and not yet removed
//! included, so that the order of steps is always the same ([`Engine::apply`]).

mod addresses;
mod blocks;
mod classes;
mod classify;
mod count;
mod demand;
mod draft;
mod emit;
mod engine;
mod index;
mod inspect;
mod issue;
mod limits;
mod locals;
mod numbers;
mod pods;
mod policies;
mod port;
mod quota;
mod retire;
mod room;
mod rule;
mod settle;
mod share;
mod slab;
mod space;
mod step;
mod tables;
mod term;
mod terms;
#[cfg(test)]
mod tests;
mod wanted;

use std::{net::IpAddr, sync::Arc};

pub use classes::{ANY_POD, ANYONE};
pub use demand::{Demand, Excess, Measure};
pub use engine::Engine;
pub use inspect::{InForce, Summary};
pub use issue::{InForceStill, Issue, Reason, Subject};
pub use limits::{CLOSED, Limits, OF_POD};
pub use port::PortPrefix;
pub use rule::RuleName;
pub use share::excess;
pub use step::{RuleKey, Step, Word};

use crate::objects::{Namespace, NetworkPolicy, ObjectName, Pod};

/// Something that happened; `None`: it is gone.
#[derive(Debug, Clone)]
pub enum Change {
    /// A namespace's object.
    Namespace(Arc<str>, Option<Arc<Namespace>>),
    /// A pod's object.
    Pod(ObjectName, Option<Arc<Pod>>),
    /// A policy.
    Policy(ObjectName, Option<Arc<NetworkPolicy>>),
    /// An endpoint of this node, by its index, from 1.
    Endpoint(u32, Option<Endpoint>),
}

/// An endpoint of this node, from its lease.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// The leased addresses.
    pub addresses: Vec<IpAddr>,
    /// The pod that the runtime named; none if it named no pod.
    pub pod: Option<ObjectName>,
    /// The pod's uid, if the runtime told it.
    pub uid: Option<String>,
}
