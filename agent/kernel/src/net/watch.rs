//! Tells when links, addresses or routes of this network namespace change, so that the reconciler looks again at what
//! they concern. What a message says is not believed: it may be late, or lost.

use std::{io, net::IpAddr, sync::Arc};

use futures::StreamExt;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol},
};
use rtnetlink::MulticastGroup;

use super::ROUTE_PROTOCOL;
use crate::{
    changes::{Changes, Part},
    net::own::{ifb_owner, is_pod_link},
};

/// `RT_TABLE_LOCAL`: the kernel's own, one for each address.
const LOCAL_TABLE: u8 = 255;

/// Tells `changes` of every change, in the background.
///
/// # Errors
/// Where the socket cannot be made.
pub fn start(changes: Arc<Changes>) -> io::Result<()> {
    let groups = [
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
        MulticastGroup::Tc,
    ];
    let (connection, _handle, mut messages) = rtnetlink::new_multicast_connection(&groups)?;
    tokio::spawn(connection);
    tokio::spawn(async move {
        // The handle keeps the connection open.
        let _handle = _handle;
        while let Some((message, _)) = messages.next().await {
            concerns(&message).iter().for_each(|part| changes.tell(*part));
        }
    });
    Ok(())
}

fn concerns(message: &NetlinkMessage<RouteNetlinkMessage>) -> &'static [Part] {
    let NetlinkPayload::InnerMessage(message) = &message.payload else { return &[] };
    match message {
        RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link) => of_link(link),
        RouteNetlinkMessage::NewAddress(address) | RouteNetlinkMessage::DelAddress(address) => of_address(address),
        RouteNetlinkMessage::NewRoute(route) => of_route(route, false),
        RouteNetlinkMessage::DelRoute(route) => of_route(route, true),
        // A filter of ours may have gone: from a pod's link, or with clsact from another device.
        RouteNetlinkMessage::DelQueueDiscipline(_) | RouteNetlinkMessage::DelTrafficFilter(_) => {
            &[Part::Pods, Part::Devices]
        }
        _ => &[],
    }
}

fn of_link(link: &LinkMessage) -> &'static [Part] {
    let ours = link
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, LinkAttribute::IfName(n) if is_pod_link(n) || ifb_owner(n).is_some()));
    if ours { &[Part::Pods] } else { &[Part::Underlay] }
}

fn of_address(address: &AddressMessage) -> &'static [Part] {
    // Every device gets one of these by itself.
    let link_local = address
        .attributes
        .iter()
        .any(|attribute| matches!(attribute, AddressAttribute::Address(IpAddr::V6(ip)) if ip.is_unicast_link_local()));
    if link_local { &[] } else { &[Part::Underlay] }
}

fn of_route(route: &RouteMessage, gone: bool) -> &'static [Part] {
    if route.header.protocol == RouteProtocol::Other(ROUTE_PROTOCOL) {
        let host = if route.header.address_family == netlink_packet_route::AddressFamily::Inet { 32 } else { 128 };
        return match (gone, route.header.destination_prefix_length == host) {
            (false, _) => &[],
            (true, true) => &[Part::Routes, Part::Pods],
            (true, false) => &[Part::Routes],
        };
    }
    if route.header.table == LOCAL_TABLE || is_of_link(route) { &[] } else { &[Part::Underlay] }
}

/// What the kernel makes by itself for every device.
fn is_of_link(route: &RouteMessage) -> bool {
    route.attributes.iter().any(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet6(ip)) => ip.is_unicast_link_local() || ip.is_multicast(),
        _ => false,
    })
}
