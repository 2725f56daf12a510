//! Routes of an interface.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    },
};

use super::{Netlink, NetlinkError, address::family};

/// The kernel's main table.
pub const MAIN: u32 = RouteHeader::RT_TABLE_MAIN as u32;

/// A unicast route through one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where to.
    pub destination: IpNetwork,
    /// Which way; none: on link.
    pub gateway: Option<IpAddr>,
    /// The routing table.
    pub table: u32,
}

impl Netlink {
    /// Adds a route through an interface that is up. A gateway is taken to be on link.
    ///
    /// # Errors
    /// `EEXIST` where the table has a route to that destination, and whatever else the kernel says.
    pub fn add_route(&mut self, index: u32, route: &RouteEntry) -> Result<(), NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(route.destination.ip());
        message.header.destination_prefix_length = route.destination.prefix();
        message.header.table = u8::try_from(route.table).unwrap_or(RouteHeader::RT_TABLE_UNSPEC);
        message.header.protocol = RouteProtocol::Boot;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![RouteAttribute::Oif(index), RouteAttribute::Table(route.table)];
        if route.destination.prefix() > 0 {
            message.attributes.push(RouteAttribute::Destination(RouteAddress::from(route.destination.ip())));
        }
        match route.gateway {
            Some(gateway) => {
                message.header.flags = RouteFlags::Onlink;
                message.attributes.push(RouteAttribute::Gateway(RouteAddress::from(gateway)));
            }
            None if route.destination.is_ipv4() => message.header.scope = RouteScope::Link,
            None => {}
        }
        let doing =
            format!("add the route to {} through interface {index} in table {}", route.destination, route.table);
        self.change(&doing, RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// The unicast routes of a family, in all tables, each with its interface's index.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn routes(&mut self, any_address: IpAddr) -> Result<Vec<(u32, RouteEntry)>, NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(any_address);
        let answers = self.dump("list routes", RouteNetlinkMessage::GetRoute(message))?;
        let messages = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewRoute(message) if message.header.kind == RouteType::Unicast => Some(message),
            _ => None,
        });
        Ok(messages.filter_map(|message| entry(&message, any_address)).collect())
    }
}

fn entry(message: &RouteMessage, any_address: IpAddr) -> Option<(u32, RouteEntry)> {
    let any = if any_address.is_ipv4() { IpAddr::from([0; 4]) } else { IpAddr::from([0; 16]) };
    let (mut index, mut destination, mut gateway, mut table) = (None, any, None, u32::from(message.header.table));
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(oif) => index = Some(*oif),
            RouteAttribute::Destination(address) => destination = ip(address)?,
            RouteAttribute::Gateway(address) => gateway = ip(address),
            RouteAttribute::Table(number) => table = *number,
            _ => {}
        }
    }
    let destination = IpNetwork::new(destination, message.header.destination_prefix_length).ok()?;
    Some((index?, RouteEntry { destination, gateway, table }))
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}
