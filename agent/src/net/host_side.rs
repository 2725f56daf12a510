//! The node's side of a pod's veth: routes to the pod's addresses, and permanent neighbour entries.

use std::net::IpAddr;

use netlink_packet_route::{
    neighbour::NeighbourState,
    route::{RouteProtocol, RouteScope},
};
use rtnetlink::{Handle, RouteMessageBuilder};

use super::{NetError, ROUTE_PROTOCOL, sysctl};

/// Leads each address to the device. Idempotent; the routes and entries go with the device.
///
/// # Errors
/// The kernel's.
pub async fn ensure(
    handle: &Handle,
    name: &str,
    ifindex: u32,
    pod_mac: [u8; 6],
    addresses: &[IpAddr],
) -> Result<(), NetError> {
    sysctl::forwarded_device(name)?;
    for address in addresses {
        let what = || format!("the route to {address} through {name} could not be made");
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(*address, if address.is_ipv4() { 32 } else { 128 })
            .map(|route| route.output_interface(ifindex).protocol(RouteProtocol::Other(ROUTE_PROTOCOL)))
            .map(|route| route.scope(if address.is_ipv4() { RouteScope::Link } else { RouteScope::Universe }))
            .map(RouteMessageBuilder::build)
            .map_err(|error| NetError::Netlink { what: error.to_string(), source: rtnetlink::Error::RequestFailed })?;
        handle.route().add(route).replace().execute().await.map_err(NetError::netlink(what()))?;
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
