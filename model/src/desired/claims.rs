//! Which node owns which pod CIDR and which address. Of two nodes that claim one, the older keeps it, so that a new
//! Node object with a mistake in it harms itself only; nodes of the same age go by name, the same on every node.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::{DesiredError, Input, Issue, Reason};
use crate::cidr::{self, Family};
use crate::objects::Node;

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
    /// Settles who owns what.
    pub(super) fn of(input: Input<'a>, issues: &mut Vec<Issue>) -> Result<Self, DesiredError> {
        let local = input.node_name;
        if !input.objects.nodes.contains_key(local) {
            return Err(DesiredError::LocalNodeUnknown { name: local.to_owned() });
        }
        let mut by_age: Vec<&Node> = input.objects.nodes.values().map(|node| &**node).collect();
        by_age.sort_by_key(|node| (node.created, node.name.clone()));
        let mut cidrs = CidrOwners::default();
        let mut nodes: BTreeMap<&str, Claim> = BTreeMap::new();
        for node in &by_age {
            nodes.entry(&node.name).or_default().cidrs = cidrs.settle(node, issues);
        }
        // What the kernel gave this node is its own whatever other objects say.
        by_age.sort_by_key(|node| *node.name != *local);
        let mut addresses = BTreeMap::new();
        for node in by_age {
            let claim = nodes.entry(&node.name).or_default();
            claim.internal_ips = settle_addresses(node, &mut addresses, issues);
            for &address in &claim.internal_ips {
                let cluster = input.settings.cluster_cidrs.iter().copied().find(|cidr| cidr.contains(address));
                if let Some(cidr) = cluster.or_else(|| cidrs.holder(address).map(|(cidr, _)| cidr)) {
                    issues.push(Issue::of_node(
                        &node.name,
                        Reason::InternalIpInCidr { address, cidr: cidr::normalised(cidr) },
                    ));
                }
            }
        }
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

    /// Whether there is a Node object of that name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
    }
}

/// The owners of pod CIDRs that do not overlap, by family and first address.
#[derive(Default)]
struct CidrOwners<'a>(BTreeMap<(Family, u128), (IpNetwork, &'a str)>);

impl<'a> CidrOwners<'a> {
    /// The pod CIDRs of a node that nobody claimed before.
    fn settle(&mut self, node: &'a Node, issues: &mut Vec<Issue>) -> Vec<IpNetwork> {
        if node.pod_cidrs.is_empty() {
            issues.push(Issue::of_node(&node.name, Reason::NoPodCidr));
        }
        let mut own = Vec::new();
        for (index, &given) in node.pod_cidrs.iter().enumerate() {
            let cidr = cidr::normalised(given);
            if cidr != given {
                issues.push(Issue::of_node(&node.name, Reason::HostBits { index, given, used: cidr }));
            }
            if let Some((other, owner)) = self.overlapping(cidr) {
                issues.push(Issue::of_node(
                    &node.name,
                    Reason::CidrOverlap { index, cidr, other, owner: owner.to_owned() },
                ));
                continue;
            }
            self.0.insert((Family::of_net(cidr), cidr::number(cidr.network())), (cidr, &node.name));
            own.push(cidr);
        }
        own
    }

    /// A CIDR that shares an address with this one.
    fn overlapping(&self, cidr: IpNetwork) -> Option<(IpNetwork, &'a str)> {
        let (family, first) = (Family::of_net(cidr), cidr::number(cidr.network()));
        let inside = self.0.range((family, first)..=(family, cidr::number(cidr.broadcast()))).next();
        inside.map(|(_, found)| *found).or_else(|| self.holder(cidr.network()))
    }

    /// The CIDR that holds an address: none but the last one that starts before it can.
    fn holder(&self, address: IpAddr) -> Option<(IpNetwork, &'a str)> {
        let key = (Family::of(address), cidr::number(address));
        let (_, found) = self.0.range(..=key).next_back()?;
        found.0.contains(address).then_some(*found)
    }
}

/// The InternalIPs of a node that nobody claimed before.
fn settle_addresses<'a>(
    node: &'a Node,
    owners: &mut BTreeMap<IpAddr, &'a str>,
    issues: &mut Vec<Issue>,
) -> Vec<IpAddr> {
    if node.internal_ips.is_empty() {
        issues.push(Issue::of_node(&node.name, Reason::NoInternalIp));
    }
    let mut own = Vec::new();
    for &address in &node.internal_ips {
        match *owners.entry(address).or_insert(&node.name) {
            owner if owner == &*node.name => own.push(address),
            owner => issues
                .push(Issue::of_node(&node.name, Reason::DuplicateInternalIp { address, owner: owner.to_owned() })),
        }
    }
    own.dedup();
    own
}
