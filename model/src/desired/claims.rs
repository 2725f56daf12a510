//! What each node owns, as the screen let it pass.

use std::{collections::BTreeMap, net::IpAddr};

use ipnetwork::IpNetwork;

use super::{DesiredError, Input};
use crate::cidr::{self, Family};

/// What one node owns.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// Its pod CIDRs in their order, without host bits.
    pub(super) cidrs: Vec<IpNetwork>,
    /// Its InternalIPs in their order.
    pub(super) internal_ips: Vec<IpAddr>,
}

impl Claim {
    /// The first InternalIP of a family.
    pub(super) fn internal_ip(&self, family: Family) -> Option<IpAddr> {
        self.internal_ips.iter().copied().find(|ip| Family::of(*ip) == family)
    }

    /// Whether it has a pod CIDR of a family.
    pub(super) fn has_pods_of(&self, family: Family) -> bool {
        self.cidrs.iter().any(|cidr| Family::of_net(*cidr) == family)
    }
}

/// What every node owns; nothing is owned twice.
#[derive(Debug)]
pub(super) struct Claims<'a> {
    local: &'a str,
    nodes: BTreeMap<&'a str, Claim>,
}

impl<'a> Claims<'a> {
    /// What every node owns.
    pub(super) fn of(input: Input<'a>) -> Result<Self, DesiredError> {
        let local = input.node_name;
        if !input.objects.nodes.contains_key(local) {
            return Err(DesiredError::LocalNodeUnknown { name: local.to_owned() });
        }
        let claim = |node: &crate::objects::Node| Claim {
            cidrs: node.pod_cidrs.iter().copied().map(cidr::normalised).collect(),
            internal_ips: node.internal_ips.clone(),
        };
        let nodes = input.objects.nodes.iter().map(|(name, node)| (&**name, claim(node))).collect();
        Ok(Self { local, nodes })
    }

    /// This node's claim.
    pub(super) fn own(&self) -> &Claim {
        &self.nodes[self.local]
    }

    /// Every node by name, this one included.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&'a str, &Claim)> {
        self.nodes.iter().map(|(name, claim)| (*name, claim))
    }

    /// Every node by name, but this one.
    pub(super) fn others(&self) -> impl Iterator<Item = (&'a str, &Claim)> {
        self.nodes().filter(|(name, _)| *name != self.local)
    }

    /// Whether an address is some node's or lies in some node's pod CIDR.
    pub(super) fn holds(&self, address: IpAddr) -> bool {
        let holds = |claim: &Claim| {
            claim.internal_ips.contains(&address) || claim.cidrs.iter().any(|cidr| cidr.contains(address))
        };
        self.nodes.values().any(holds)
    }

    /// Whether there is a Node object of that name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }
}
