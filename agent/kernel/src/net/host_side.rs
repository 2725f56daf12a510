//! The node's side of a pod's veth: routes to the pod's addresses, and permanent neighbour entries.

use std::net::IpAddr;

use netlink_packet_route::{
    neighbour::NeighbourState,
    route::{RouteMessage, RouteProtocol, RouteScope},
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::{NetError, ROUTE_PROTOCOL, errno, sysctl};

/// What the host sends to its own pods from, by family (IPv4, IPv6), where that is not the kernel's choice.
pub type Sources = [Option<IpAddr>; 2];

/// The one of an address's family.
#[must_use]
pub const fn source(sources: Sources, address: IpAddr) -> Option<IpAddr> {
    sources[if address.is_ipv4() { 0 } else { 1 }]
}

/// Leads each address to the device. A source that no device has, or that the kernel is about to check (RFC 4862), is left to
/// a later round. Idempotent; the routes and entries go with the device.
///
/// # Errors
/// The kernel's.
pub async fn ensure(
    handle: &Handle,
    name: &str,
    ifindex: u32,
    pod_mac: [u8; 6],
    addresses: &[IpAddr],
    sources: Sources,
) -> Result<(), NetError> {
    sysctl::forwarded_device(name)?;
    for address in addresses {
        let what = || format!("the route to {address} through {name} could not be made");
        let source = source(sources, *address);
        let lead = |source| route(*address, ifindex, source).map(|route| handle.route().add(route).replace().execute());
        let led = match lead(source)?.await {
            Err(error) if source.is_some() && errno(&error) == Some(libc::EINVAL) => lead(None)?.await,
            other => other,
        };
        led.map_err(NetError::netlink(what()))?;
        handle
            .neighbours()
            .add(ifindex, *address)
            .link_layer_address(&pod_mac)
            .state(NeighbourState::Permanent)
            .replace()
            .execute()
            .await
            .map_err(NetError::netlink(format!("the neighbour {address} on {name} could not be made")))?;
    }
    Ok(())
}

fn refused(error: impl std::fmt::Display) -> NetError {
    NetError::Netlink { what: error.to_string(), source: rtnetlink::Error::RequestFailed }
}

fn route(address: IpAddr, ifindex: u32, source: Option<IpAddr>) -> Result<RouteMessage, NetError> {
    let route = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(address, if address.is_ipv4() { 32 } else { 128 })
        .map_err(refused)?
        .output_interface(ifindex)
        .protocol(RouteProtocol::Other(ROUTE_PROTOCOL))
        .scope(if address.is_ipv4() { RouteScope::Link } else { RouteScope::Universe });
    let route = match source {
        Some(source) => route.pref_source(source).map_err(refused)?,
        None => route,
    };
    Ok(route.build())
}
