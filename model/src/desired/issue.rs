//! What is wrong with the objects, one sentence each: which object, which field, what to do. An issue never stops the
//! rest from working.

use super::Reason;
use crate::{
    found::FoundBy,
    objects::{Identity, Kind, ObjectName},
};

/// Something about an object that the operator should know. Shown as one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Issue {
    /// A Node or a Pod.
    pub object: Identity,
    /// What is wrong with it.
    pub reason: Reason,
}

impl Issue {
    pub(super) fn of_node(name: &str, reason: Reason) -> Self {
        Self { object: Identity::cluster_scoped(Kind::Node, name), reason }
    }

    pub(super) fn of_pod(name: &ObjectName, reason: Reason) -> Self {
        Self { object: Identity::new(Kind::Pod, name), reason }
    }
}

impl std::fmt::Display for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.object, self.reason)
    }
}

impl Reason {
    /// Its name, by which Events can be chosen.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NoPodCidr => "NoPodCIDR",
            Self::HostBits { .. } => "HostBitsInPodCIDR",
            Self::CidrOverlap { .. } => "OverlappingPodCIDR",
            Self::SpecialPodCidr { .. } => "SpecialPodCIDR",
            Self::BroadPodCidr { .. } => "BroadPodCIDR",
            Self::PodCidrOutside { .. } => "PodCIDROutside",
            Self::PodCidrAmongNodes { .. } => "PodCIDRAmongNodes",
            Self::PodCidrHoldsNode { .. } => "PodCIDRHoldsNode",
            Self::PodCidrHoldsPod { .. } => "PodCIDRHoldsPod",
            Self::PodCidrHoldsService { .. } => "PodCIDRHoldsService",
            Self::PodCidrHoldsOwn { .. } => "PodCIDRHoldsOwnAddress",
            Self::NoInternalIp => "NoInternalIP",
            Self::SpecialInternalIp { .. } => "SpecialInternalIP",
            Self::InternalIpOutside { .. } => "InternalIPOutside",
            Self::InternalIpOfService { .. } => "InternalIPOfService",
            Self::DuplicateInternalIp { .. } => "DuplicateInternalIP",
            Self::InternalIpOfPod { .. } => "InternalIPOfPod",
            Self::InternalIpInCidr { .. } => "InternalIPAmongPods",
            Self::NoCommonFamily => "NoCommonFamily",
            Self::NoPath { .. } => "NoRoute",
            Self::NoNextHop { .. } => "NoNextHop",
            Self::TwoDevices { .. } => "NextHopsDiffer",
            Self::NodesFull { .. } => "NodeMapFull",
            Self::UnknownNode { .. } => "NodeUnknown",
            Self::SpecialPodIp { .. } => "SpecialPodIP",
            Self::PodIpOutside { .. } => "PodIPOutside",
            Self::PodIpAmongNodes { .. } => "PodIPAmongNodes",
            Self::PodIpOfNode { .. } => "PodIPOfOtherNode",
            Self::PodIpOfService { .. } => "PodIPOfService",
            Self::PodIpOfOwn { .. } => "PodIPOfNodeItself",
            Self::ManyWrongPods { .. } => "ManyWrongPodIPs",
            Self::DuplicateAddress { .. } => "DuplicateAddress",
        }
    }

    /// Which nodes find it. The way to a node is never looked for by that node, and a pod's address is known by its lease
    /// where it runs.
    #[must_use]
    pub const fn found_by(&self) -> FoundBy {
        match self {
            Self::NoCommonFamily
            | Self::NoPath { .. }
            | Self::NoNextHop { .. }
            | Self::TwoDevices { .. }
            | Self::PodCidrHoldsOwn { .. }
            | Self::PodIpOfOwn { .. }
            | Self::NodesFull { .. } => FoundBy::Each,
            // A node that lies about its pods does not say so.
            Self::DuplicateAddress { .. }
            | Self::SpecialPodIp { .. }
            | Self::PodIpOutside { .. }
            | Self::PodIpAmongNodes { .. }
            | Self::PodIpOfNode { .. }
            | Self::PodIpOfService { .. } => FoundBy::Others,
            Self::NoPodCidr
            | Self::HostBits { .. }
            | Self::CidrOverlap { .. }
            | Self::SpecialPodCidr { .. }
            | Self::BroadPodCidr { .. }
            | Self::PodCidrOutside { .. }
            | Self::PodCidrAmongNodes { .. }
            | Self::PodCidrHoldsNode { .. }
            | Self::PodCidrHoldsPod { .. }
            | Self::PodCidrHoldsService { .. }
            | Self::NoInternalIp
            | Self::SpecialInternalIp { .. }
            | Self::InternalIpOutside { .. }
            | Self::InternalIpOfService { .. }
            | Self::InternalIpOfPod { .. }
            | Self::ManyWrongPods { .. }
            | Self::DuplicateInternalIp { .. }
            | Self::InternalIpInCidr { .. }
            | Self::UnknownNode { .. } => FoundBy::All,
        }
    }
}

/// Why no desired state can be computed; what is in force then stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DesiredError {
    /// The source has no object of the node that the agent runs on.
    #[error("node {name} has no Node object; add it, or correct --node-name")]
    LocalNodeUnknown {
        /// The agent's node name.
        name: String,
    },
    /// With VXLAN, the overlay device is missing.
    #[error("the overlay device is missing, so no node can be reached through it; the agent has to make it first")]
    NoOverlayDevice,
}
