//! Neighbour entries: the gateway's MAC is written, so that nobody asks for it.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    RouteNetlinkMessage,
    neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
    route::RouteType,
};

use super::{Netlink, NetlinkError, address::family};
use crate::mac::Mac;

/// A neighbour as the kernel has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// Its MAC, where it has one of six bytes.
    pub mac: Option<Mac>,
    /// Never asked for again.
    pub permanent: bool,
}

impl Netlink {
    /// Writes a permanent entry.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn add_neighbour(&mut self, index: u32, address: IpAddr, mac: Mac) -> Result<(), NetlinkError> {
        let mut message = entry(index, address);
        message.header.state = NeighbourState::Permanent;
        message.header.kind = RouteType::Unicast;
        message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        let doing = format!("write the neighbour entry {address} of interface {index}");
        self.change(&doing, RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// The entry of an address, or none.
    ///
    /// # Errors
    /// The kernel says something else than that there is none.
    pub fn neighbour(&mut self, index: u32, address: IpAddr) -> Result<Option<Neighbour>, NetlinkError> {
        let doing = format!("read the neighbour entry {address} of interface {index}");
        match self.get(&doing, RouteNetlinkMessage::GetNeighbour(entry(index, address))) {
            Ok(answers) => Ok(answers.into_iter().find_map(|answer| match answer {
                RouteNetlinkMessage::NewNeighbour(message) => Some(neighbour(&message)),
                _ => None,
            })),
            Err(error) if error.is(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn entry(index: u32, address: IpAddr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(address);
    message.header.ifindex = index;
    message.attributes = vec![NeighbourAttribute::Destination(NeighbourAddress::from(address))];
    message
}

fn neighbour(message: &NeighbourMessage) -> Neighbour {
    let mac = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::LinkLayerAddress(bytes) => Mac::from_bytes(bytes),
        _ => None,
    });
    Neighbour { mac, permanent: message.header.state == NeighbourState::Permanent }
}
