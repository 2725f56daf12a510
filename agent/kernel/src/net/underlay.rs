//! How this node reaches another node's address: asked of the kernel's routes.

use std::{collections::HashMap, net::IpAddr};

use ferrule_model::desired::Path;
use futures::TryStreamExt;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteFlags, RouteMetric, RouteType};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::{NetError, errno};

/// The path to `address`; `None` where no route leads there, or where it is this node's own. `mtus` are the devices',
/// by interface index.
///
/// # Errors
/// The kernel's, except that there is no route.
pub async fn path(handle: &Handle, address: IpAddr, mtus: &HashMap<u32, u32>) -> Result<Option<Path>, NetError> {
    let what = || format!("the route to {address} could not be read");
    let query = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(address, if address.is_ipv4() { 32 } else { 128 })
        .map(RouteMessageBuilder::build)
        .map_err(|_| NetError::Netlink { what: what(), source: rtnetlink::Error::RequestFailed })?;
    let route = match handle.route().get(query).execute().try_next().await {
        Ok(Some(route)) if route.header.kind == RouteType::Unicast => route,
        Ok(_) => return Ok(None),
        // No route, a prohibited one, a family that the kernel lacks: no path either way.
        Err(error) if errno(&error).is_some() => return Ok(None),
        Err(source) => return Err(NetError::Netlink { what: what(), source }),
    };
    let (mut next_hop, mut ifindex, mut mtu, mut learned, mut source) = (address, None, None, false, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => next_hop = IpAddr::V4(*ip),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => next_hop = IpAddr::V6(*ip),
            RouteAttribute::PrefSource(RouteAddress::Inet(ip)) => source = Some(IpAddr::V4(*ip)),
            RouteAttribute::PrefSource(RouteAddress::Inet6(ip)) => source = Some(IpAddr::V6(*ip)),
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            // An exception that the kernel forgets after a while: a router said it.
            RouteAttribute::CacheInfo(info) => learned = info.expires != 0,
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let Some(ifindex) = ifindex else { return Ok(None) };
    let Some(&device_mtu) = mtus.get(&ifindex) else { return Ok(None) };
    let mtu = mtu.filter(|mtu| *mtu != 0);
    // On the link there is one next hop: the address itself.
    let multipath = next_hop != address && has_several_next_hops(handle, address).await;
    Ok(Some(if learned {
        Path { next_hop, ifindex, mtu: device_mtu, source, learned: mtu, multipath }
    } else {
        Path { next_hop, ifindex, mtu: mtu.unwrap_or(device_mtu), source, learned: None, multipath }
    }))
}

/// Whether the kernel spreads flows to `address` over several next hops: asked of the route itself, and not of what the kernel
/// would make of it. Where it does not tell, it may.
async fn has_several_next_hops(handle: &Handle, address: IpAddr) -> bool {
    let query =
        RouteMessageBuilder::<IpAddr>::new().destination_prefix(address, if address.is_ipv4() { 32 } else { 128 });
    let Ok(mut query) = query.map(RouteMessageBuilder::build) else { return true };
    query.header.flags |= RouteFlags::FibMatch;
    let several = |attribute: &RouteAttribute| matches!(attribute, RouteAttribute::MultiPath(_));
    match handle.route().get(query).execute().try_next().await {
        Ok(Some(route)) => route.attributes.iter().any(several),
        _ => true,
    }
}
