//! The routes that the host itself needs, kept by their protocol number: what is wanted is added, ours that is not is
//! removed, others' are never touched.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ferrule_model::{
    desired::{KernelRoute, RouteKind},
    objects::Map,
};
use futures::TryStreamExt;
use ipnetwork::IpNetwork;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteIp6Tunnel, RouteIp6TunnelFlags, RouteIpTunnel, RouteLwTunnelEncap, RouteMessage,
    RouteMetric, RouteProtocol, RouteType,
};
use rtnetlink::{Handle, IpVersion, RouteMessageBuilder};

use super::{NetError, ROUTE_PROTOCOL, errno};

/// The metric of unreachable routes: above any other, so that a more useful route to the same prefix wins.
const LAST: u32 = 0xffff_0000;

/// Brings the host's routes to `wanted`. `overlay` is the overlay device, for routes through it. `pod_links` gives the
/// devices of pods, whose own routes are not judged here, and is asked after the routes were listed, so that it knows
/// every pod whose route was; without it nothing is removed.
///
/// # Errors
/// The first failure, after trying everything.
pub async fn sync(
    handle: &Handle,
    wanted: &Map<IpNetwork, KernelRoute>,
    overlay: Option<u32>,
    pod_links: impl FnOnce() -> Option<Vec<u32>>,
    vni: u64,
) -> Result<(), NetError> {
    let present = ours(handle).await?;
    let pod_links = pod_links();
    let by_destination = index(&present);
    let pod_links: Option<HashSet<u32>> = pod_links.map(|links| links.into_iter().collect());
    let mut result = Ok(());
    let mut kept = HashSet::new();
    for route in wanted.values() {
        let Some(message) = message(route, overlay, vni) else { continue };
        let standing = by_destination.get(&route.destination).map_or(&[][..], Vec::as_slice);
        if let Some(at) = standing.iter().find(|at| same(&present[**at], &message)) {
            kept.insert(*at);
            continue;
        }
        let what = format!("the route to {} could not be made", route.destination);
        // Replacing is by prefix and metric: another's route of the same kind would be overwritten, so it is not done.
        let added = match handle.route().add(message.clone()).execute().await {
            Err(error) if errno(&error) == Some(libc::EEXIST) => {
                replace_own(handle, message, !standing.is_empty()).await
            }
            other => other,
        };
        result = result.and(added.map_err(NetError::netlink(what)));
    }
    let Some(pod_links) = pod_links else { return result };
    for (at, route) in present.iter().enumerate() {
        let stays = kept.contains(&at)
            || output(route).is_some_and(|ifindex| pod_links.contains(&ifindex))
            || is_replaced(route, wanted);
        if !stays {
            result = result.and(remove(handle, route.clone()).await);
        }
    }
    result
}

/// The destinations of wanted routes that are missing, or are others.
///
/// # Errors
/// The kernel's.
pub async fn missing(
    handle: &Handle,
    wanted: &Map<IpNetwork, KernelRoute>,
    overlay: Option<u32>,
    vni: u64,
) -> Result<Vec<IpNetwork>, NetError> {
    let present = ours(handle).await?;
    let by_destination = index(&present);
    let stands = |route: &&KernelRoute| {
        let standing = by_destination.get(&route.destination).map_or(&[][..], Vec::as_slice);
        message(route, overlay, vni).is_some_and(|wanted| standing.iter().any(|at| same(&present[*at], &wanted)))
    };
    Ok(wanted.values().filter(|route| !stands(route)).map(|route| route.destination).collect())
}

/// A route to a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRoute {
    /// The address.
    pub address: IpAddr,
    /// The device that it leads to.
    pub ifindex: u32,
    /// The source that the host uses on it, where one is named.
    pub source: Option<IpAddr>,
    /// It has our protocol number.
    pub ours: bool,
}

/// The routes to single addresses.
///
/// # Errors
/// The kernel's.
pub async fn to_hosts(handle: &Handle) -> Result<Vec<HostRoute>, NetError> {
    let host = |network: IpNetwork| network.prefix() == if network.is_ipv4() { 32 } else { 128 };
    let route = |route: &RouteMessage| {
        let ours = is_ours(route);
        let unicast = route.header.kind == RouteType::Unicast && host(destination(route));
        unicast
            .then(|| {
                Some(HostRoute {
                    address: destination(route).ip(),
                    ifindex: output(route)?,
                    source: source(route),
                    ours,
                })
            })
            .flatten()
    };
    Ok(all(handle).await?.iter().filter_map(route).collect())
}

/// Removes every route of ours.
///
/// # Errors
/// The first failure, after trying everything.
pub async fn remove_all(handle: &Handle) -> Result<(), NetError> {
    let mut result = Ok(());
    for route in ours(handle).await? {
        result = result.and(remove(handle, route).await);
    }
    result
}

async fn remove(handle: &Handle, route: RouteMessage) -> Result<(), NetError> {
    let what = format!("the route to {} could not be removed", destination(&route));
    match handle.route().del(route).execute().await {
        Err(error) if errno(&error) == Some(libc::ESRCH) => Ok(()),
        other => other.map_err(NetError::netlink(what)),
    }
}

/// Where each destination's routes are in the list.
fn index(routes: &[RouteMessage]) -> HashMap<IpNetwork, Vec<usize>> {
    let mut index: HashMap<_, Vec<_>> = HashMap::new();
    for (at, route) in routes.iter().enumerate() {
        index.entry(destination(route)).or_default().push(at);
    }
    index
}

async fn replace_own(handle: &Handle, message: RouteMessage, own: bool) -> Result<(), rtnetlink::Error> {
    let request = handle.route().add(message);
    if own { request.replace().execute().await } else { request.execute().await }
}

/// A route of ours that the kernel exchanged for the wanted one above: deleting by its description could hit the new one.
fn is_replaced(route: &RouteMessage, wanted: &Map<IpNetwork, KernelRoute>) -> bool {
    wanted
        .get(&destination(route))
        .is_some_and(|wanted| (wanted.kind == RouteKind::Unreachable) == (route.header.kind == RouteType::Unreachable))
}

async fn ours(handle: &Handle) -> Result<Vec<RouteMessage>, NetError> {
    Ok(all(handle).await?.into_iter().filter(is_ours).collect())
}

fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == RouteProtocol::Other(ROUTE_PROTOCOL)
}

async fn all(handle: &Handle) -> Result<Vec<RouteMessage>, NetError> {
    let _turn = super::LISTING.lock().await;
    let mut found = Vec::new();
    for version in [IpVersion::V4, IpVersion::V6] {
        let filter = match version {
            IpVersion::V4 => RouteMessageBuilder::<std::net::Ipv4Addr>::new().build(),
            IpVersion::V6 => RouteMessageBuilder::<std::net::Ipv6Addr>::new().build(),
        };
        let mut routes = handle.route().get(filter).execute();
        while let Some(route) = routes.try_next().await.map_err(NetError::netlink("the routes could not be listed"))? {
            found.push(route);
        }
    }
    Ok(found)
}

/// The route as the kernel takes it; `None` where it needs an overlay device that is not there.
fn message(route: &KernelRoute, overlay: Option<u32>, vni: u64) -> Option<RouteMessage> {
    let (address, prefix) = (route.destination.network(), route.destination.prefix());
    let mut builder = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(address, prefix)
        .ok()?
        .protocol(RouteProtocol::Other(ROUTE_PROTOCOL));
    builder = match route.kind {
        RouteKind::Overlay { tunnel, source } => {
            let builder = builder.output_interface(overlay?);
            match tunnel {
                IpAddr::V4(ip) => {
                    let from = source.and_then(v4).map(RouteIpTunnel::Source);
                    let to = [RouteIpTunnel::Id(vni), RouteIpTunnel::Destination(ip), RouteIpTunnel::Ttl(64)];
                    builder.encap_ip(to.into_iter().chain(from).collect())
                }
                IpAddr::V6(ip) => {
                    let from = source.and_then(v6).map(RouteIp6Tunnel::Source);
                    let to = [
                        RouteIp6Tunnel::Id(vni),
                        RouteIp6Tunnel::Destination(ip),
                        RouteIp6Tunnel::Hoplimit(64),
                        // Receivers refuse a UDP checksum of zero over IPv6.
                        RouteIp6Tunnel::Flags(RouteIp6TunnelFlags::Checksum),
                    ];
                    builder.encap_ip6(to.into_iter().chain(from).collect())
                }
            }
        }
        RouteKind::Via { next_hop, ifindex } => builder.output_interface(ifindex).gateway(next_hop).ok()?.onlink(),
        RouteKind::Unreachable => builder.kind(RouteType::Unreachable).priority(LAST),
    };
    if let Some(source) = route.prefer_source {
        builder = builder.pref_source(source).ok()?;
    }
    let mut message = builder.build();
    if let Some(mtu) = route.mtu {
        message.attributes.push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)]));
    }
    Some(message)
}

fn same(found: &RouteMessage, wanted: &RouteMessage) -> bool {
    destination(found) == destination(wanted)
        && found.header.kind == wanted.header.kind
        && (found.header.kind == RouteType::Unreachable
            || output(found) == output(wanted)
                && gateway(found) == gateway(wanted)
                && source(found) == source(wanted)
                && mtu(found) == mtu(wanted)
                && tunnel(found) == tunnel(wanted))
}

fn destination(route: &RouteMessage) -> IpNetwork {
    let v4 = route.header.address_family == netlink_packet_route::AddressFamily::Inet;
    let any = if v4 { IpAddr::from([0; 4]) } else { IpAddr::from([0_u8; 16]) };
    let address = attribute(route, |attribute| match attribute {
        RouteAttribute::Destination(address) => ip(address),
        _ => None,
    });
    let address = address.unwrap_or(any);
    IpNetwork::new(address, route.header.destination_prefix_length).unwrap_or_else(|_| IpNetwork::from(address))
}

fn output(route: &RouteMessage) -> Option<u32> {
    attribute(route, |attribute| match attribute {
        RouteAttribute::Oif(ifindex) => Some(*ifindex),
        _ => None,
    })
}

fn gateway(route: &RouteMessage) -> Option<IpAddr> {
    attribute(route, |attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        _ => None,
    })
}

fn source(route: &RouteMessage) -> Option<IpAddr> {
    attribute(route, |attribute| match attribute {
        RouteAttribute::PrefSource(address) => ip(address),
        _ => None,
    })
}

fn mtu(route: &RouteMessage) -> Option<u32> {
    attribute(route, |attribute| match attribute {
        RouteAttribute::Metrics(metrics) => metrics.iter().find_map(|metric| match metric {
            RouteMetric::Mtu(mtu) => Some(*mtu),
            _ => None,
        }),
        _ => None,
    })
}

/// The outer source, where one is named, and the outer destination.
fn tunnel(route: &RouteMessage) -> (Option<IpAddr>, Option<IpAddr>) {
    let items = attribute(route, |attribute| match attribute {
        RouteAttribute::Encap(items) => Some(items.clone()),
        _ => None,
    });
    let mut ends = (None, None);
    for item in items.unwrap_or_default() {
        match item {
            RouteLwTunnelEncap::Ip(RouteIpTunnel::Source(ip)) => ends.0 = Some(IpAddr::V4(ip)),
            RouteLwTunnelEncap::Ip(RouteIpTunnel::Destination(ip)) => ends.1 = Some(IpAddr::V4(ip)),
            RouteLwTunnelEncap::Ip6(RouteIp6Tunnel::Source(ip)) => ends.0 = Some(IpAddr::V6(ip)),
            RouteLwTunnelEncap::Ip6(RouteIp6Tunnel::Destination(ip)) => ends.1 = Some(IpAddr::V6(ip)),
            _ => {}
        }
    }
    (ends.0.filter(|source| !source.is_unspecified()), ends.1)
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

fn attribute<T>(route: &RouteMessage, pick: impl Fn(&RouteAttribute) -> Option<T>) -> Option<T> {
    route.attributes.iter().find_map(pick)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some(IpAddr::V4(*ip)),
        RouteAddress::Inet6(ip) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}
