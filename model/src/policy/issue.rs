//! What is not in force as its object says, one sentence each: which object, which field, what to do.

use std::net::IpAddr;

use crate::found::FoundBy;
use crate::objects::{Direction, Identity};

/// Something about an object that the operator should know. Shown as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Issue {
    /// What it is about.
    pub subject: Subject,
    /// What is wrong.
    pub reason: Reason,
}

impl std::fmt::Display for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)
    }
}

/// What an issue is about. Shown as `Pod shop/web-0`, `NetworkPolicy shop/only-web`, `endpoint 7`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A Pod or a NetworkPolicy.
    Object(Identity),
    /// An endpoint of this node, by its index, whose Pod is not known.
    Endpoint(u32),
    /// An address whose Pod is not known.
    Address(IpAddr),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Endpoint(index) => write!(f, "endpoint {index}"),
            Self::Address(address) => write!(f, "address {address}"),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// The keys of an endpoint's tables do not fit.
    #[error(
        "the rules of the policies that select it do not fit into the policy map with its {capacity} entries; {in_force}; let the rules name fewer ports and peers"
    )]
    KeysFull {
        /// How many fit.
        capacity: usize,
        /// What holds meanwhile.
        in_force: InForceStill,
    },
    /// There are as many tables as there can be.
    #[error("all {capacity} policy tables are in use; {in_force}; let more pods share their policies")]
    TablesFull {
        /// How many there can be.
        capacity: u32,
        /// What holds meanwhile.
        in_force: InForceStill,
    },
    /// Too many CIDRs.
    #[error(
        "the ipBlocks of the policies that select it do not fit into the block map with its {capacity} entries; {in_force}; let the rules name fewer CIDRs"
    )]
    BlocksFull {
        /// How many fit.
        capacity: usize,
        /// What holds meanwhile.
        in_force: InForceStill,
    },
    /// A peer that no table can know.
    #[error(
        "status.podIPs: policies cannot tell {address} from other addresses, since the policy maps are full, so rules that select it by labels do not let it in; use fewer or simpler policies"
    )]
    PeerLeftOut {
        /// The address.
        address: IpAddr,
    },
    /// A range that ends before it starts.
    #[error("spec.{}[{rule}].ports[{port}].endPort: {last} is below port {first}, so the entry allows nothing; correct it", list(*.direction))]
    EmptyRange {
        /// Which list.
        direction: Direction,
        /// The rule's place.
        rule: usize,
        /// The port's place.
        port: usize,
        /// `port`.
        first: u16,
        /// `endPort`.
        last: u16,
    },
}

impl Reason {
    /// Its name, by which Events can be chosen.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::KeysFull { .. } => "PolicyMapFull",
            Self::TablesFull { .. } => "PolicyTablesFull",
            Self::BlocksFull { .. } => "BlockMapFull",
            Self::PeerLeftOut { .. } => "PeerLeftOut",
            Self::EmptyRange { .. } => "EmptyPortRange",
        }
    }

    /// Which nodes find it: what the maps have room for depends on the policies of the node that looks.
    #[must_use]
    pub const fn found_by(&self) -> FoundBy {
        match self {
            Self::PeerLeftOut { .. } => FoundBy::Each,
            Self::KeysFull { .. } | Self::TablesFull { .. } | Self::BlocksFull { .. } | Self::EmptyRange { .. } => {
                FoundBy::All
            }
        }
    }
}

/// What holds for an endpoint whose present state cannot be put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InForceStill {
    /// What was in force before.
    Before,
    /// Nothing was: nothing passes.
    Nothing,
}

impl std::fmt::Display for InForceStill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Before => "what was in force before stays",
            Self::Nothing => "nothing passes",
        })
    }
}

fn list(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}
