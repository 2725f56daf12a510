//! What the host has for its pods, in three listings, whatever their number: links, routes, neighbours.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use futures::TryStreamExt;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};
use rtnetlink::Handle;

use super::{
    NetError,
    link::{self, Device},
    route,
};

/// The host as of one moment, more or less.
#[derive(Debug, Default)]
pub struct Survey {
    /// Devices, by name.
    pub links: HashMap<String, Device>,
    /// Routes of ours to a single address, with their device: the source that they name.
    pub routes: HashMap<(IpAddr, u32), Option<IpAddr>>,
    /// Permanent neighbour entries: address and device to MAC.
    pub neighbours: HashMap<(IpAddr, u32), Vec<u8>>,
    /// Addresses that the host knows somebody at, with their device: neighbours of any kind, routes to them alone, and its
    /// own.
    pub inhabited: HashSet<(IpAddr, u32)>,
}

impl Survey {
    /// Lists everything.
    ///
    /// # Errors
    /// The kernel's.
    pub async fn take(handle: &Handle) -> Result<Self, NetError> {
        let links = link::all(handle).await?;
        let routes = route::to_hosts(handle).await?;
        let neighbours = neighbours(handle).await?;
        let own = link::addresses(handle).await?;
        let known = neighbours.iter().map(|(at, _, _)| *at).chain(own);
        let permanent = neighbours.iter().filter(|(_, _, permanent)| *permanent);
        Ok(Self {
            links: links.into_iter().map(|link| (link.name.clone(), link)).collect(),
            routes: routes
                .iter()
                .filter(|route| route.ours)
                .map(|route| ((route.address, route.ifindex), route.source))
                .collect(),
            inhabited: routes.iter().map(|route| (route.address, route.ifindex)).chain(known).collect(),
            neighbours: permanent.map(|(at, mac, _)| (*at, mac.clone())).collect(),
        })
    }

    /// Whether a device with this interface index was there.
    #[must_use]
    pub fn has(&self, ifindex: u32) -> bool {
        self.links.values().any(|link| link.ifindex == ifindex)
    }
}

/// An address and its device, its MAC, and whether the entry is permanent.
type Neighbour = ((IpAddr, u32), Vec<u8>, bool);

async fn neighbours(handle: &Handle) -> Result<Vec<Neighbour>, NetError> {
    let _turn = super::LISTING.lock().await;
    let all: Vec<NeighbourMessage> = handle
        .neighbours()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(NetError::netlink("the neighbours could not be listed"))?;
    // One that never answered has no MAC; one that stopped answering has failed.
    Ok(all.into_iter().filter(|one| one.header.state != NeighbourState::Failed).filter_map(neighbour).collect())
}

fn neighbour(message: NeighbourMessage) -> Option<Neighbour> {
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = Some(bytes),
            _ => {}
        }
    }
    Some(((address?, message.header.ifindex), mac?, message.header.state == NeighbourState::Permanent))
}
