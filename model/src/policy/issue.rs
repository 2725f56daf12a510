//! What is not in force as its object says, one sentence each: which object, which field, what to do.

use std::net::IpAddr;

use super::demand::Excess;
use crate::{
    found::FoundBy,
    objects::{Direction, Identity, ObjectName},
};

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
    /// The policies of a pod ask for more than any pod may.
    #[error(
        "{}: NetworkPolicy {} and the others that select it ask for {} {}, and a pod may have {}; nothing passes in this direction until the rules name fewer peers and ports", spec(*.direction), name(.policy), excess.asked, excess.measure, excess.limit
    )]
    OfPod {
        /// Which direction.
        direction: Direction,
        /// The policy that asks for most.
        policy: Option<ObjectName>,
        /// Of what there is too much.
        excess: Excess,
    },
    /// The policies of a namespace ask for more than any namespace may, and what selects this pod is among the largest.
    #[error(
        "{}: the policies of its namespace, NetworkPolicy {} the largest of this pod's, ask for {} {}, and a namespace may have {} on a node; nothing passes in this direction until their rules name fewer peers and ports", spec(*.direction), name(.policy), excess.asked, excess.measure, excess.limit
    )]
    OfNamespace {
        /// Which direction.
        direction: Direction,
        /// The policy that asks for most, of those that select the pod.
        policy: Option<ObjectName>,
        /// Of what there is too much.
        excess: Excess,
    },
    /// Policies of the namespace change faster than what they supersede can go.
    #[error("{}: the namespace's policies change too fast; {in_force}, for some seconds", spec(*.direction))]
    Busy {
        /// Which direction.
        direction: Direction,
        /// What holds meanwhile.
        in_force: InForceStill,
    },
    /// The keys of an endpoint's tables do not fit.
    #[error(
        "{}: the rules of the policies that select it, NetworkPolicy {} the largest, do not fit into the policy map with its {capacity} entries; {in_force}; let the rules name fewer ports and peers", spec(*.direction), name(.policy)
    )]
    KeysFull {
        /// Which direction.
        direction: Direction,
        /// The policy that asks for most.
        policy: Option<ObjectName>,
        /// How many fit.
        capacity: usize,
        /// What holds meanwhile.
        in_force: InForceStill,
    },
    /// There are as many tables as there can be.
    #[error("{}: all {capacity} policy tables are in use; {in_force}; let more pods share their policies", spec(*.direction))]
    TablesFull {
        /// Which direction.
        direction: Direction,
        /// How many there can be.
        capacity: u32,
        /// What holds meanwhile.
        in_force: InForceStill,
    },
    /// Too many CIDRs.
    #[error(
        "{}: the ipBlocks of the policies that select it, NetworkPolicy {} the largest, do not fit into the block map with its {capacity} entries; {in_force}; let the rules name fewer CIDRs", spec(*.direction), name(.policy)
    )]
    BlocksFull {
        /// Which direction.
        direction: Direction,
        /// The policy that asks for most.
        policy: Option<ObjectName>,
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
            Self::OfPod { .. } => "PodPoliciesTooLarge",
            Self::OfNamespace { .. } => "NamespacePoliciesTooLarge",
            Self::Busy { .. } => "PoliciesChangeTooFast",
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
            Self::OfPod { .. }
            | Self::OfNamespace { .. }
            | Self::Busy { .. }
            | Self::KeysFull { .. }
            | Self::TablesFull { .. }
            | Self::BlocksFull { .. }
            | Self::EmptyRange { .. } => FoundBy::All,
        }
    }
}

/// What holds for a direction of an endpoint whose present state cannot be put in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InForceStill {
    /// What was in force before.
    Before,
    /// It was not isolated: nothing passes.
    Nothing,
}

impl std::fmt::Display for InForceStill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Before => "what was in force before stays",
            Self::Nothing => "nothing passes in this direction",
        })
    }
}

fn spec(direction: Direction) -> String {
    format!("policies' spec.{}", list(direction))
}

fn name(policy: &Option<ObjectName>) -> String {
    policy.as_ref().map_or_else(|| "(unknown)".into(), ToString::to_string)
}

fn list(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}
