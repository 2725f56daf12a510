//! `fr_endpoints` and `fr_links`: written when a pod is added and removed, and nowhere else.

use std::net::IpAddr;

use aya::maps::{HashMap, Map, MapData, MapError};
use ferrule_common::{Address, Mac, endpoint::Endpoint, link::Link};

use super::load::LoadError;

/// What the maps hold of one local pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPod {
    /// The endpoint's index.
    pub index: u32,
    /// The host side's interface index.
    pub ifindex: u32,
    /// The pod's MTU, in bytes.
    pub mtu: u32,
    /// The MAC of the pod's side.
    pub mac: [u8; 6],
    /// The MAC of the host side.
    pub host_mac: [u8; 6],
    /// The pod's addresses.
    pub addresses: Vec<IpAddr>,
}

/// The two maps, open for writing.
pub struct EndpointMaps {
    endpoints: HashMap<MapData, Address, Endpoint>,
    links: HashMap<MapData, u32, Link>,
}

impl EndpointMaps {
    pub(super) fn new(endpoints: Map, links: Map) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        Ok(Self {
            endpoints: endpoints.try_into().map_err(failed("fr_endpoints"))?,
            links: links.try_into().map_err(failed("fr_links"))?,
        })
    }

    /// Makes a pod known: its link first, so that no address is known whose link is not.
    ///
    /// # Errors
    /// The kernel's, `E2BIG` where a map is full; what was written before is taken back.
    pub fn insert(&mut self, pod: &LocalPod) -> Result<(), MapError> {
        let link = Link { index: pod.index, mac: Mac::new(pod.mac), host_mac: Mac::new(pod.host_mac) };
        self.links.insert(pod.ifindex, link, 0)?;
        let endpoint =
            Endpoint { ifindex: pod.ifindex, index: pod.index, mtu: pod.mtu, mac: Mac::new(pod.mac), pad: [0; 2] };
        for address in &pod.addresses {
            if let Err(error) = self.endpoints.insert(Address::from(*address), endpoint, 0) {
                self.remove(pod.ifindex, &pod.addresses)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Forgets a pod: its addresses first. What is not there, or is another device's by now, is left.
    ///
    /// # Errors
    /// The kernel's, after trying everything.
    pub fn remove(&mut self, ifindex: u32, addresses: &[IpAddr]) -> Result<(), MapError> {
        let mut result = Ok(());
        for address in addresses {
            let key = Address::from(*address);
            if self.endpoints.get(&key, 0).is_ok_and(|endpoint| endpoint.ifindex == ifindex) {
                result = result.and(self.endpoints.remove(&key));
            }
        }
        match self.links.remove(&ifindex) {
            Err(MapError::KeyNotFound) => result,
            other => result.and(other),
        }
    }

    /// The entry of an address.
    #[must_use]
    pub fn endpoint(&self, address: IpAddr) -> Option<Endpoint> {
        self.endpoints.get(&Address::from(address), 0).ok()
    }

    /// The entry of a link.
    #[must_use]
    pub fn link(&self, ifindex: u32) -> Option<Link> {
        self.links.get(&ifindex, 0).ok()
    }

    /// Every address with its entry.
    ///
    /// # Errors
    /// The kernel's.
    pub fn endpoints(&self) -> Result<Vec<(IpAddr, Endpoint)>, MapError> {
        self.endpoints.iter().map(|entry| entry.map(|(address, endpoint)| (address.to_ip(), endpoint))).collect()
    }

    /// Every link's interface index.
    ///
    /// # Errors
    /// The kernel's.
    pub fn links(&self) -> Result<Vec<u32>, MapError> {
        self.links.keys().collect()
    }
}
