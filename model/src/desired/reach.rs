//! How each other node is reached: through the overlay, or natively by a next hop.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    DesiredError, Forwarding, Input, Issue, NodeEntry, Path, Reason, Routing, Underlay, Uplink,
    claims::{Claim, Claims},
    source,
};
use crate::cidr::Family;

/// The entry of each other node that can be reached, by name.
pub(super) fn entries<'a>(
    input: Input<'a>,
    claims: &Claims<'a>,
    issues: &mut Vec<Issue>,
) -> Result<BTreeMap<&'a str, NodeEntry>, DesiredError> {
    let mut entries = BTreeMap::new();
    for (name, claim) in claims.others() {
        if claim.internal_ips.is_empty() {
            continue; // Reported with its claims.
        }
        let mut report = |reason| issues.push(Issue::of_node(name, reason));
        let entry = match input.settings.routing {
            Routing::Vxlan => overlay(input, claims.own(), claim, &mut report)?,
            Routing::Native => native(input.underlay, claim, &mut report),
            Routing::Auto if is_on_link(input.underlay, claim) => native(input.underlay, claim, &mut report),
            Routing::Auto => overlay(input, claims.own(), claim, &mut report)?,
        };
        if let Some(entry) = entry {
            entries.insert(name, entry);
        }
    }
    Ok(entries)
}

/// Through the tunnel to the node's InternalIP of the first family that both nodes have. Where the kernel knows no
/// path, an entry that stands already goes on with the MTU it has: a route that flaps must not cost the node's pods
/// their entries.
fn overlay(
    input: Input<'_>,
    own: &Claim,
    other: &Claim,
    report: &mut dyn FnMut(Reason),
) -> Result<Option<NodeEntry>, DesiredError> {
    let ifindex = input.underlay.vxlan_ifindex.ok_or(DesiredError::NoOverlayDevice)?;
    let Some(tunnel) = own.internal_ips.iter().find_map(|ip| other.internal_ip(Family::of(*ip))) else {
        report(Reason::NoCommonFamily);
        return Ok(None);
    };
    let overhead = match Family::of(tunnel) {
        Family::V4 => input.settings.overhead.v4,
        Family::V6 => input.settings.overhead.v6,
    };
    let path = input.underlay.paths.get(&tunnel);
    if path.is_none() {
        report(Reason::NoPath { address: tunnel });
    }
    let standing = || input.observed.values().find(|entry| entry.tunnel == Some(tunnel)).map(|entry| entry.mtu);
    let mtu = path.map(|path| path.present_mtu().saturating_sub(overhead)).or_else(standing);
    let named = source::named(input, own, Family::of(tunnel), path);
    let uplink = uplink(input.underlay, tunnel, path).filter(|_| named.is_some());
    Ok(mtu.map(|mtu| NodeEntry {
        forwarding: Forwarding::Vxlan,
        ifindex,
        mtu,
        tunnel: Some(tunnel),
        source: if uplink.is_some() { named } else { source::outer(input, own, Family::of(tunnel), path) },
        uplink,
        next_hop_v4: None,
        next_hop_v6: None,
        internal_v4: v4(other),
        internal_v6: v6(other),
    }))
}

/// How a program would send the tunnel's packets itself. Over IPv6 it does not: receivers want a checksum over the whole packet.
/// Nor where the kernel spreads flows over several next hops.
fn uplink(underlay: &Underlay, tunnel: IpAddr, path: Option<&Path>) -> Option<Uplink> {
    let path = path.filter(|path| tunnel.is_ipv4() && !path.multipath && underlay.uplinks.contains(&path.ifindex))?;
    Some(Uplink { ifindex: path.ifindex, next_hop: path.next_hop })
}

/// By a next hop of each family: an IPv6 packet to an IPv4 next hop is lost. An entry has one device, so that both
/// next hops must be on it.
fn native(underlay: &Underlay, other: &Claim, report: &mut dyn FnMut(Reason)) -> Option<NodeEntry> {
    let path = |family| {
        let mut paths =
            other.internal_ips.iter().filter(|ip| Family::of(**ip) == family).map(|ip| underlay.paths.get(ip));
        paths.find_map(|path| path.filter(|path| Family::of(path.next_hop) == family))
    };
    let paths = Family::BOTH.map(path);
    for (family, path) in Family::BOTH.into_iter().zip(paths) {
        if path.is_none() && other.has_pods_of(family) {
            report(Reason::NoNextHop { family });
        }
    }
    let (path_v4, mut path_v6) = (paths[0], paths[1]);
    if let (Some(v4), Some(v6)) = (path_v4, path_v6)
        && v4.ifindex != v6.ifindex
    {
        report(Reason::TwoDevices { v4: v4.ifindex, v6: v6.ifindex });
        path_v6 = None;
    }
    let first = path_v4.or(path_v6)?;
    let mtu = path_v4.into_iter().chain(path_v6).map(Path::present_mtu).min()?;
    Some(NodeEntry {
        forwarding: Forwarding::Native,
        ifindex: first.ifindex,
        mtu,
        tunnel: None,
        source: None,
        uplink: None,
        next_hop_v4: path_v4.and_then(|path| only_v4(path.next_hop)),
        next_hop_v6: path_v6.and_then(|path| only_v6(path.next_hop)),
        internal_v4: v4(other),
        internal_v6: v6(other),
    })
}

/// Whether a node is a neighbour by every family that it has pods of, on one device.
fn is_on_link(underlay: &Underlay, other: &Claim) -> bool {
    let neighbour = |family| {
        let ip = other.internal_ip(family)?;
        underlay.paths.get(&ip).filter(|path| path.next_hop == ip).map(|path| path.ifindex)
    };
    let mut devices = Family::BOTH.into_iter().filter(|family| other.has_pods_of(*family)).map(neighbour);
    let Some(Some(first)) = devices.next() else { return false };
    devices.all(|device| device == Some(first))
}

fn v4(claim: &Claim) -> Option<Ipv4Addr> {
    claim.internal_ip(Family::V4).and_then(only_v4)
}

fn v6(claim: &Claim) -> Option<Ipv6Addr> {
    claim.internal_ip(Family::V6).and_then(only_v6)
}

fn only_v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn only_v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}
