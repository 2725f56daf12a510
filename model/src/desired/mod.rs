//! What a node's datapath and routing tables should be like, from the objects, the node's own leases, the settings and
//! what the kernel says about the ways to other nodes.
//!
//! ```text
//! objects ─▶ screen: what nobody may claim is taken out ─▶ (the store, and all who read it)
//! screened objects ─▶ claims: what each node owns ─▶ reach: how each node is reached ─▶ indices
//!                                            └──▶ peers, prefixes, routes ◀─────────────┘
//! ```

mod claims;
mod follow;
mod indices;
mod input;
mod issue;
mod lasting;
mod least_mtu;
mod peers;
mod reach;
mod reason;
mod remote;
mod routes;
mod screen;
mod settings;
mod source;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
mod underlay;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

pub use indices::assign;
pub use input::{Input, LocalEndpoint};
use ipnetwork::IpNetwork;
pub use issue::{DesiredError, Issue};
pub use lasting::{InternalIps, Lasting};
pub use least_mtu::{LEAST_V4, LEAST_V6, MtuTooSmall, fits};
pub(crate) use peers::precedence;
pub use reason::Reason;
pub use remote::{Forwarding, LOCAL, NodeEntry, Peer, PeerKind, Remote, Target, Uplink};
pub use routes::{KernelRoute, RouteKind};
pub use screen::{Own, Ranges, Screen, Screened, Special, special};
pub use settings::{OuterSource, Overhead, Routing, Settings};
pub use underlay::{Path, Underlay};

use crate::{
    cidr::{self, Family},
    objects::Map,
};

/// What a node should be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// For the maps.
    pub remote: Remote,
    /// The names behind the indices of [`Remote::nodes`].
    pub node_names: Map<u32, Arc<str>>,
    /// For the host's own routing table, by destination.
    pub routes: Map<IpNetwork, KernelRoute>,
    /// Gateway addresses that the overlay device (or, with native routing, another device of the node's own) must
    /// have, since the node has no InternalIP of their family to send from.
    pub own_addresses: Vec<IpAddr>,
    /// What the host sends to its own pods from, by family: an address that a device has, or one of `own_addresses`.
    pub host_sources: [Option<IpAddr>; 2],
    /// This node's pod CIDRs that are in force: what IPAM leases from.
    pub own_pod_cidrs: Vec<IpNetwork>,
    /// This node's InternalIPs, in their order.
    pub own_internal_ips: Vec<IpAddr>,
    /// Addresses that several pods of one node claim.
    pub contested: BTreeSet<IpAddr>,
    /// Addresses of this node's leases that objects give to somebody else.
    pub suppressed: BTreeSet<IpAddr>,
    /// Addresses of this node and of its gateways: no pod elsewhere has one.
    pub kept: BTreeSet<IpAddr>,
    /// What is wrong with the objects, beside what the screen took out.
    pub issues: Vec<Issue>,
}

impl Desired {
    /// Whether it would be another one if an address was leased, or was not: nobody else claims most addresses.
    #[must_use]
    pub fn depends_on_lease(&self, address: IpAddr) -> bool {
        self.suppressed.contains(&address) || self.remote.peers.contains_key(&address)
    }
}

/// Computes what a node should be like.
///
/// # Errors
/// [`DesiredError`] when nothing sensible can be said; what is in force must then stay.
pub fn desired(input: Input<'_>) -> Result<Desired, DesiredError> {
    let mut issues = Vec::new();
    let claims = claims::Claims::of(input)?;
    let entries = reach::entries(input, &claims, &mut issues)?;
    let indices = indices::indices(input, &entries, &mut issues);

    let mut prefixes = Map::new();
    let mut node_names = Map::new();
    for (name, claim) in claims.nodes() {
        let index = if name == input.node_name { Some(LOCAL) } else { indices.get(name).copied() };
        let usable =
            claim.cidrs.iter().filter(|cidr| index == Some(LOCAL) || is_elsewhere(input, name, **cidr, &mut issues));
        let usable: Vec<_> = usable.copied().collect();
        prefixes.extend(index.into_iter().flat_map(|index| usable.iter().map(move |cidr| (*cidr, index))));
    }
    let mut nodes = Map::new();
    for (name, entry) in entries {
        if let Some(index) = indices.get(name) {
            nodes.insert(*index, entry);
            node_names.insert(*index, Arc::from(name));
        }
    }
    let peers::Peers { mut peers, contested, suppressed } = peers::peers(input, &claims, &indices, &mut issues);
    let own = claims.own();
    let own_addresses = routes::own_addresses(own);
    // What the host's masquerading gives to forwarded packets of a family without an InternalIP is this node's, too.
    peers.extend(own_addresses.iter().map(|address| (*address, Peer { node: LOCAL, kind: PeerKind::Node })));
    let cluster_cidrs = input.settings.cluster_cidrs.iter().copied().map(cidr::normalised).collect();
    let remote = Remote { nodes, peers, prefixes, cluster_cidrs };

    let host_sources = Family::BOTH.map(|family| {
        source::of_host(input, own, family)
            .or_else(|| own_addresses.iter().copied().find(|ip| Family::of(*ip) == family))
    });
    let routes = routes::routes(&remote, &own.cidrs, host_sources, input.underlay.vxlan_mtu);
    Ok(Desired {
        routes,
        host_sources,
        own_addresses,
        own_pod_cidrs: own.cidrs.clone(),
        own_internal_ips: own.internal_ips.clone(),
        remote,
        node_names,
        contested,
        suppressed,
        kept: input.underlay.kept.iter().chain(input.underlay.local.keys()).copied().collect(),
        issues,
    })
}

/// Whether another node's pod CIDR holds nothing that this node needs; what it holds is reported.
fn is_elsewhere(input: Input<'_>, node: &str, cidr: IpNetwork, issues: &mut Vec<Issue>) -> bool {
    let Some(address) = input.underlay.kept.iter().copied().find(|address| cidr.contains(*address)) else {
        return true;
    };
    issues.push(Issue::of_node(node, Reason::PodCidrHoldsOwn { cidr, address }));
    false
}
