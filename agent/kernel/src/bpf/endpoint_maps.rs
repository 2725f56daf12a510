//! `fr_endpoints`, `fr_links`, `fr_sources` and `fr_quota`: written when a pod is added and removed, and nowhere else.

use std::net::IpAddr;

use aya::maps::{Array, HashMap, Map, MapData, MapError};
use ferrule_common::{
    Address, Mac,
    endpoint::{self, Endpoint},
    flow::Quota,
    link::Link,
    source::Source,
};

use super::{absent::absent_is_fine, error::LoadError};

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
    /// Its packets pass the veth's queueing disciplines.
    pub via_stack: bool,
    /// Another plugin made its link and delivers its packets.
    pub chained: bool,
    /// Its tenant: an index into `fr_tenants`.
    pub tenant: u32,
}

/// The four maps, open for writing.
pub struct EndpointMaps {
    endpoints: HashMap<MapData, Address, Endpoint>,
    links: HashMap<MapData, u32, Link>,
    sources: Array<MapData, Source>,
    quota: Array<MapData, Quota>,
    /// Flows that the connection table has room for.
    flows: u32,
}

impl EndpointMaps {
    pub(super) fn new(endpoints: Map, links: Map, sources: Map, quota: Map, flows: u32) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        Ok(Self {
            endpoints: endpoints.try_into().map_err(failed("fr_endpoints"))?,
            links: links.try_into().map_err(failed("fr_links"))?,
            sources: sources.try_into().map_err(failed("fr_sources"))?,
            quota: quota.try_into().map_err(failed("fr_quota"))?,
            flows,
        })
    }

    /// Shares the connection table out among so many endpoints, beside the node itself.
    ///
    /// # Errors
    /// The kernel's.
    pub fn share_out(&mut self, endpoints: u32) -> Result<(), MapError> {
        let quota = Quota::of(self.flows, endpoints.saturating_add(1));
        if self.quota.get(&0, 0)? == quota { Ok(()) } else { self.quota.set(0, quota, 0) }
    }

    /// Makes a pod known: its link first, so that no address is known whose link is not.
    ///
    /// # Errors
    /// The kernel's, `E2BIG` where a map is full; what was written before is taken back.
    pub fn insert(&mut self, pod: &LocalPod) -> Result<(), MapError> {
        self.links.insert(pod.ifindex, link(pod), 0)?;
        self.sources.set(pod.index, source(pod), 0)?;
        for address in &pod.addresses {
            if let Err(error) = self.endpoints.insert(Address::from(*address), endpoint_of(pod), 0) {
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
        let mut result = self.free(ifindex);
        for address in addresses {
            let key = Address::from(*address);
            if self.endpoints.get(&key, 0).is_ok_and(|endpoint| endpoint.ifindex == ifindex) {
                result = result.and(self.endpoints.remove(&key));
            }
        }
        result.and(absent_is_fine(self.links.remove(&ifindex)))
    }

    /// Frees the source of a link, where it is that link's still.
    fn free(&mut self, ifindex: u32) -> Result<(), MapError> {
        match self.link(ifindex) {
            Some(link) if self.source(link.index).is_some_and(|source| source.ifindex == ifindex) => {
                self.sources.set(link.index, Source::FREE, 0)
            }
            _ => Ok(()),
        }
    }

    /// A phrase for each entry of the pod that the maps do not hold.
    #[must_use]
    pub fn differences(&self, pod: &LocalPod) -> Vec<String> {
        let missing = |map: &str, key: String| format!("{map} has no entry for {key}, or another one");
        let lacks = |ip: &&IpAddr| self.endpoint(**ip).is_none_or(|found| found != endpoint_of(pod));
        let mut differences: Vec<String> =
            pod.addresses.iter().filter(lacks).map(|ip| missing("fr_endpoints", ip.to_string())).collect();
        if self.link(pod.ifindex).is_none_or(|found| found != link(pod)) {
            differences.push(missing("fr_links", pod.ifindex.to_string()));
        }
        if self.source(pod.index).is_none_or(|found| found != source(pod)) {
            differences.push(missing("fr_sources", pod.index.to_string()));
        }
        differences
    }

    /// The entry of an index.
    #[must_use]
    pub fn source(&self, index: u32) -> Option<Source> {
        self.sources.get(&index, 0).ok()
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

fn endpoint_of(pod: &LocalPod) -> Endpoint {
    Endpoint { ifindex: pod.ifindex, index: pod.index, mtu: pod.mtu, mac: Mac::new(pod.mac), flags: flags(pod) }
}

fn link(pod: &LocalPod) -> Link {
    Link { index: pod.index, mac: Mac::new(pod.mac), host_mac: Mac::new(pod.host_mac) }
}

fn flags(pod: &LocalPod) -> u16 {
    let via_stack = if pod.via_stack || pod.chained { endpoint::VIA_STACK } else { 0 };
    via_stack | if pod.chained { endpoint::CHAINED } else { 0 }
}

fn source(pod: &LocalPod) -> Source {
    let first = |v4| pod.addresses.iter().copied().find(|ip: &IpAddr| ip.is_ipv4() == v4);
    let address = |v4| first(v4).map_or(Address::UNSPECIFIED, Address::from);
    Source {
        ifindex: pod.ifindex,
        mac: Mac::new(pod.mac),
        flags: flags(pod),
        v4: address(true),
        v6: address(false),
        tenant: pod.tenant,
    }
}
