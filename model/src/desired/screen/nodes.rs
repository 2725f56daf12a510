//! Which node owns which pod CIDR and which InternalIP. What a node was given stays its own as long as it claims it: nobody
//! takes it by another object, however old. Of claims that are new, the older node's go first, so that a new Node object with
//! a mistake in it harms itself only; nodes of the same age go by name, the same on every node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnetwork::IpNetwork;

use super::{
    super::{Issue, Reason},
    Own,
    strays::Strays,
};
use crate::{
    cidr::{self, Family},
    objects::{Map, Node, ObjectName},
};

/// The eldest Service with each ClusterIP: when it was made, and its name.
pub(super) type ClusterIps = BTreeMap<IpAddr, BTreeSet<(u64, ObjectName)>>;

/// What is settled before nodes are.
#[derive(Clone, Copy)]
pub(super) struct Others<'a> {
    pub(super) nodes: &'a Map<Arc<str>, Arc<Node>>,
    pub(super) cluster_ips: &'a ClusterIps,
    pub(super) strays: &'a Strays,
    /// This node, whose own pods' addresses are what it knows best.
    pub(super) here: &'a str,
    /// Nothing was given to anybody yet: ages alone tell who was first.
    pub(super) first: bool,
}

impl<'a> Others<'a> {
    /// A ClusterIP in a prefix, of a Service that was there before a node claimed it.
    fn service_within(self, node: &Node, cidr: IpNetwork) -> Option<(IpAddr, &'a ObjectName)> {
        let mut inside = self.cluster_ips.range(cidr.network()..=cidr.broadcast());
        inside.find_map(|(address, services)| {
            let (_, service) = services.first().filter(|(created, _)| !self.first || *created < node.created)?;
            Some((*address, service))
        })
    }

    /// A pod's address in a prefix that was given to it on a node, other than this one, that has no pod CIDR of that family:
    /// some other IPAM plugin's. (Where its node has one, an address outside of it keeps nobody from anything.)
    fn pod_within(self, node: &Node, cidr: IpNetwork) -> Option<(IpAddr, &'a ObjectName)> {
        let of_family =
            |other: &Arc<Node>| other.pod_cidrs.iter().any(|one| Family::of_net(*one) == Family::of_net(cidr));
        let is_firm = |name: &str| {
            *name != *node.name && (name == self.here || self.nodes.get(name).is_some_and(|other| !of_family(other)))
        };
        self.strays.held_within(cidr, is_firm)
    }
}

/// What nodes own; nothing is owned twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Owners {
    /// Pod CIDRs that do not overlap, by family and first address.
    cidrs: BTreeMap<(Family, u128), (IpNetwork, Arc<str>)>,
    internal_ips: BTreeMap<IpAddr, Arc<str>>,
}

/// One thing that a node claims.
#[derive(Clone, Copy)]
enum Claim {
    /// Its place in the list, and the CIDR without host bits.
    Cidr(usize, IpNetwork),
    InternalIp(IpAddr),
}

impl Owners {
    /// Whether nobody owns anything.
    pub(super) fn is_empty(&self) -> bool {
        self.cidrs.is_empty() && self.internal_ips.is_empty()
    }

    /// The owner of the pod CIDR that holds an address: none but the last one that starts before it can hold it.
    pub(super) fn holder(&self, address: IpAddr) -> Option<(IpNetwork, &Arc<str>)> {
        let key = (Family::of(address), cidr::number(address));
        let (_, (cidr, owner)) = self.cidrs.range(..=key).next_back()?;
        cidr.contains(address).then_some((*cidr, owner))
    }

    /// The node that has an InternalIP.
    pub(super) fn node_at(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.internal_ips.get(&address)
    }

    /// The node with what of it is its own, in its order; the same object where that is all of it.
    pub(super) fn passed(&self, node: &Arc<Node>) -> Arc<Node> {
        let own = |owner: Option<&Arc<str>>| owner.is_some_and(|owner| **owner == *node.name);
        let mut pod_cidrs: Vec<IpNetwork> = node.pod_cidrs.iter().copied().map(cidr::normalised).collect();
        pod_cidrs.retain(|cidr| {
            let found = self.cidrs.get(&(Family::of_net(*cidr), cidr::number(cidr.network())));
            found.is_some_and(|(found, owner)| found == cidr && own(Some(owner)))
        });
        let mut internal_ips = node.internal_ips.clone();
        internal_ips.retain(|address| own(self.node_at(*address)));
        internal_ips.dedup();
        if pod_cidrs == node.pod_cidrs && internal_ips == node.internal_ips {
            return Arc::clone(node);
        }
        Arc::new(Node { pod_cidrs, internal_ips, ..Node::clone(node) })
    }

    /// Settles who owns what; `self` is what was settled before.
    pub(super) fn settle(&self, own: &Own, others: Others<'_>) -> (Self, Vec<Issue>) {
        let mut issues = Vec::new();
        let mut all = Vec::new();
        for node in others.nodes.values() {
            of_itself(node, &mut issues);
            all.extend(claims(node).map(|claim| (node, claim, self.gave(own, node, claim))));
        }
        // Of one age, what is said about pods goes first: it cannot be changed, and an address among pods' is the mistake.
        all.sort_by_key(|(node, claim, given)| {
            let address = matches!(claim, Claim::InternalIp(_));
            (!given, node.created, address, *node.name != *own.node_name, &node.name)
        });
        let mut settled = Self::default();
        for (node, claim, given) in all {
            if let Some(reason) = settled.enter(own, node, claim, given, others) {
                issues.push(Issue::of_node(&node.name, reason));
            }
        }
        issues.sort_by(|a, b| a.object.name.name.cmp(&b.object.name.name));
        (settled, issues)
    }

    /// Whether a claim is in force: it was given before, or this node has leased from it.
    fn gave(&self, own: &Own, node: &Node, claim: Claim) -> bool {
        let here = *node.name == *own.node_name;
        match claim {
            Claim::Cidr(_, cidr) => {
                let found = self.cidrs.get(&(Family::of_net(cidr), cidr::number(cidr.network())));
                let given = found.is_some_and(|(found, owner)| *found == cidr && **owner == *node.name);
                given || here && own.leased.iter().any(|address| cidr.contains(*address))
            }
            Claim::InternalIp(address) => here || self.node_at(address).is_some_and(|owner| **owner == *node.name),
        }
    }

    /// Gives a node what it claims, or says why not.
    fn enter(&mut self, own: &Own, node: &Node, claim: Claim, given: bool, others: Others<'_>) -> Option<Reason> {
        let refused = match claim {
            Claim::Cidr(index, cidr) => {
                own.ranges.refuse_cidr(index, cidr).or_else(|| self.refuse_cidr(node, index, cidr))
            }
            Claim::InternalIp(address) => {
                let refused = own.ranges.refuse_internal_ip(address);
                refused.or_else(|| self.refuse_internal_ip(node, address))
            }
        };
        let refused = refused.or_else(|| if given { None } else { of_another_kind(node, claim, others) });
        if refused.is_none() {
            match claim {
                Claim::Cidr(_, cidr) => {
                    let key = (Family::of_net(cidr), cidr::number(cidr.network()));
                    self.cidrs.insert(key, (cidr, Arc::clone(&node.name)));
                }
                Claim::InternalIp(address) => _ = self.internal_ips.insert(address, Arc::clone(&node.name)),
            }
        }
        refused
    }

    fn refuse_cidr(&self, node: &Node, index: usize, cidr: IpNetwork) -> Option<Reason> {
        if let Some((other, owner)) = self.overlapping(cidr) {
            return Some(Reason::CidrOverlap { index, cidr, other, owner: owner.to_string() });
        }
        let inside = self.internal_ips.range(cidr.network()..=cidr.broadcast());
        let other = inside.into_iter().find(|(_, owner)| **owner != node.name);
        other.map(|(address, owner)| Reason::PodCidrHoldsNode {
            index,
            cidr,
            address: *address,
            owner: owner.to_string(),
        })
    }

    fn refuse_internal_ip(&self, node: &Node, address: IpAddr) -> Option<Reason> {
        let claimed = node.pod_cidrs.iter().copied().find(|cidr| cidr.contains(address)).map(cidr::normalised);
        if let Some(cidr) = claimed.or_else(|| self.holder(address).map(|(cidr, _)| cidr)) {
            return Some(Reason::InternalIpInCidr { address, cidr });
        }
        let owner = self.node_at(address).filter(|owner| **owner != node.name);
        owner.map(|owner| Reason::DuplicateInternalIp { address, owner: owner.to_string() })
    }

    /// A CIDR that shares an address with this one.
    fn overlapping(&self, cidr: IpNetwork) -> Option<(IpNetwork, &Arc<str>)> {
        let (family, first) = (Family::of_net(cidr), cidr::number(cidr.network()));
        let inside = self.cidrs.range((family, first)..=(family, cidr::number(cidr.broadcast()))).next();
        inside.map(|(_, (cidr, owner))| (*cidr, owner)).or_else(|| self.holder(cidr.network()))
    }
}

/// Why a node cannot have what a Service or a pod elsewhere has.
fn of_another_kind(node: &Node, claim: Claim, others: Others<'_>) -> Option<Reason> {
    let cidr = match claim {
        Claim::Cidr(_, cidr) => cidr,
        Claim::InternalIp(address) => cidr::host(address),
    };
    if let Some((address, service)) = others.service_within(node, cidr) {
        let service = service.clone();
        return Some(match claim {
            Claim::Cidr(index, cidr) => Reason::PodCidrHoldsService { index, cidr, address, service },
            Claim::InternalIp(address) => Reason::InternalIpOfService { address, service },
        });
    }
    let (address, pod) = others.pod_within(node, cidr)?;
    let pod = pod.clone();
    Some(match claim {
        Claim::Cidr(index, cidr) => Reason::PodCidrHoldsPod { index, cidr, address, pod },
        Claim::InternalIp(address) => Reason::InternalIpOfPod { address, pod },
    })
}

fn claims(node: &Node) -> impl Iterator<Item = Claim> + '_ {
    let cidrs = node.pod_cidrs.iter().enumerate().map(|(index, given)| Claim::Cidr(index, cidr::normalised(*given)));
    let mut internal_ips: Vec<IpAddr> = Vec::new();
    for address in &node.internal_ips {
        if !internal_ips.contains(address) {
            internal_ips.push(*address);
        }
    }
    cidrs.chain(internal_ips.into_iter().map(Claim::InternalIp))
}

/// What is wrong with a Node whatever others claim.
fn of_itself(node: &Node, issues: &mut Vec<Issue>) {
    if node.pod_cidrs.is_empty() {
        issues.push(Issue::of_node(&node.name, Reason::NoPodCidr));
    }
    for (index, &given) in node.pod_cidrs.iter().enumerate() {
        let used = cidr::normalised(given);
        if used != given {
            issues.push(Issue::of_node(&node.name, Reason::HostBits { index, given, used }));
        }
    }
    if node.internal_ips.is_empty() {
        issues.push(Issue::of_node(&node.name, Reason::NoInternalIp));
    }
}
