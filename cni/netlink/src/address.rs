//! Addresses of an interface.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope},
};

use super::{Netlink, NetlinkError};

/// An address as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// With its prefix length.
    pub network: IpNetwork,
    /// Not usable yet: duplicate address detection runs, or has failed.
    pub tentative: bool,
}

pub(super) fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

impl Netlink {
    /// Adds an address that is usable at once: duplicate address detection is left out.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where the kernel has no such family, `EACCES` where IPv6 is disabled, and whatever else it says.
    pub fn add_address(&mut self, index: u32, address: IpNetwork) -> Result<(), NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.family = family(address.ip());
        message.header.prefix_len = address.prefix();
        message.header.index = index;
        let link_local = matches!(address.ip(), IpAddr::V6(ip) if ip.is_unicast_link_local());
        message.header.scope = if link_local { AddressScope::Link } else { AddressScope::Universe };
        message.attributes = vec![AddressAttribute::Local(address.ip()), AddressAttribute::Address(address.ip())];
        if address.is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        let doing = format!("give interface {index} the address {address}");
        self.change(&doing, RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// The addresses of an interface.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<Address>, NetlinkError> {
        let answers = self.dump("list addresses", RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        let messages = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewAddress(message) if message.header.index == index => Some(message),
            _ => None,
        });
        Ok(messages.filter_map(|message| address(&message)).collect())
    }
}

fn address(message: &AddressMessage) -> Option<Address> {
    let of = |pick: fn(&AddressAttribute) -> Option<IpAddr>| message.attributes.iter().find_map(pick);
    let local = of(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    let plain = of(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    });
    let unusable = AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed;
    Some(Address {
        network: IpNetwork::new(local.or(plain)?, message.header.prefix_len).ok()?,
        tentative: message.header.flags.intersects(unusable),
    })
}
