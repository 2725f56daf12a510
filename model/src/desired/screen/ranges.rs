//! What the operator says about addresses, and what an address or a prefix has to be before it is looked at whose it is.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{super::Reason, special::special};
use crate::cidr::{self, Family};

/// The shortest pod CIDR of one node, in bits: a million addresses, and what a provider gets for all of its customers.
/// Kubernetes gives each node `/24` and `/64`; what is broader takes others' addresses.
const BROADEST_V4: u8 = 12;
const BROADEST_V6: u8 = 32;

/// Where addresses of pods and nodes lie, as far as the operator says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Every pod's address of a family lies in one of these, where there are some of that family; host bits are ignored.
    pub cluster_cidrs: Vec<IpNetwork>,
    /// The same for nodes' InternalIPs.
    pub node_cidrs: Vec<IpNetwork>,
}

impl Ranges {
    /// Why a prefix can be no node's pod CIDR; `index` is its place in the list.
    pub(super) fn refuse_cidr(&self, index: usize, cidr: IpNetwork) -> Option<Reason> {
        if let Some(what) = special(cidr) {
            return Some(Reason::SpecialPodCidr { index, cidr, what });
        }
        let broadest = match Family::of_net(cidr) {
            Family::V4 => BROADEST_V4,
            Family::V6 => BROADEST_V6,
        };
        if cidr.prefix() < broadest {
            return Some(Reason::BroadPodCidr { index, cidr, broadest });
        }
        if let Some(range) = self.node_cidrs.iter().copied().find(|range| cidr::overlap(*range, cidr)) {
            return Some(Reason::PodCidrAmongNodes { index, cidr, nodes: cidr::normalised(range) });
        }
        let within = |range: IpNetwork| range.prefix() <= cidr.prefix() && range.contains(cidr.network());
        (!allows(&self.cluster_cidrs, Family::of_net(cidr), within)).then_some(Reason::PodCidrOutside { index, cidr })
    }

    /// Why an address can be no node's InternalIP.
    pub(super) fn refuse_internal_ip(&self, address: IpAddr) -> Option<Reason> {
        if let Some(what) = special(cidr::host(address)) {
            return Some(Reason::SpecialInternalIp { address, what });
        }
        if let Some(range) = self.cluster_cidrs.iter().copied().find(|range| range.contains(address)) {
            return Some(Reason::InternalIpInCidr { address, cidr: cidr::normalised(range) });
        }
        (!allows(&self.node_cidrs, Family::of(address), |range| range.contains(address)))
            .then_some(Reason::InternalIpOutside { address })
    }

    /// Why an address can be no pod's.
    pub(super) fn refuse_pod_ip(&self, address: IpAddr) -> Option<Reason> {
        if let Some(what) = special(cidr::host(address)) {
            return Some(Reason::SpecialPodIp { address, what });
        }
        if let Some(range) = self.node_cidrs.iter().copied().find(|range| range.contains(address)) {
            return Some(Reason::PodIpAmongNodes { address, nodes: cidr::normalised(range) });
        }
        (!allows(&self.cluster_cidrs, Family::of(address), |range| range.contains(address)))
            .then_some(Reason::PodIpOutside { address })
    }
}

/// Whether one of the ranges of a family holds it, or there is none of that family.
fn allows(ranges: &[IpNetwork], family: Family, holds: impl Fn(IpNetwork) -> bool) -> bool {
    let mut of_family = ranges.iter().copied().filter(|range| Family::of_net(*range) == family).peekable();
    of_family.peek().is_none() || of_family.any(holds)
}
