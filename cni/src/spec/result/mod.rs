//! The result of ADD, in the widest version. [`read`](AddResult::read) takes what any version sends,
//! [`write`](AddResult::write) leaves out what a version does not have. Unknown fields are kept and passed on.

mod read;
mod write;

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde_json::{Map, Value};

/// A result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddResult {
    /// Interfaces, in the order that `ips[].interface` counts.
    pub interfaces: Vec<Interface>,
    /// Addresses.
    pub ips: Vec<Ip>,
    /// Routes.
    pub routes: Vec<Route>,
    /// Name resolution.
    pub dns: Dns,
    /// Fields that are not the specification's.
    pub other: Map<String, Value>,
}

/// An interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its MAC, as text of whoever made it.
    pub mac: Option<String>,
    /// Its MTU in bytes (1.1.0).
    pub mtu: Option<u32>,
    /// The container's network namespace; none on the host.
    pub sandbox: Option<String>,
    /// A socket that stands for the interface (1.1.0).
    pub socket_path: Option<String>,
    /// A PCI device that stands for the interface (1.1.0).
    pub pci_id: Option<String>,
    /// Fields that are not the specification's.
    pub other: Map<String, Value>,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ip {
    /// The index of its interface.
    pub interface: Option<usize>,
    /// With its prefix length; host bits are kept.
    pub address: IpNetwork,
    /// Its gateway.
    pub gateway: Option<IpAddr>,
    /// Fields that are not the specification's.
    pub other: Map<String, Value>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub dst: IpNetwork,
    /// Which way.
    pub gw: Option<IpAddr>,
    /// MTU in bytes (1.1.0).
    pub mtu: Option<u32>,
    /// The MSS to advertise, in bytes (1.1.0).
    pub advmss: Option<u32>,
    /// The metric (1.1.0).
    pub priority: Option<u32>,
    /// The routing table (1.1.0).
    pub table: Option<u32>,
    /// The scope (1.1.0).
    pub scope: Option<u32>,
    /// Fields that are not the specification's.
    pub other: Map<String, Value>,
}

impl Route {
    /// A route with nothing but a destination and a gateway.
    #[must_use]
    pub fn new(dst: IpNetwork, gw: Option<IpAddr>) -> Self {
        Self { dst, gw, mtu: None, advmss: None, priority: None, table: None, scope: None, other: Map::new() }
    }
}

/// Name resolution.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Servers, as text.
    pub nameservers: Vec<String>,
    /// The local domain.
    pub domain: Option<String>,
    /// Domains to search.
    pub search: Vec<String>,
    /// The resolver's options.
    pub options: Vec<String>,
    /// Fields that are not the specification's.
    pub other: Map<String, Value>,
}

impl AddResult {
    /// Appends what a later plugin of a chain made: indices of its addresses move behind the interfaces that are there,
    /// and its name resolution counts only where there is none.
    pub fn append(&mut self, later: Self) {
        let moved = self.interfaces.len();
        self.interfaces.extend(later.interfaces);
        self.ips
            .extend(later.ips.into_iter().map(|ip| Ip { interface: ip.interface.map(|index| index + moved), ..ip }));
        self.routes.extend(later.routes);
        if self.dns == Dns::default() {
            self.dns = later.dns;
        }
        self.other.extend(later.other);
    }

    /// The index of an interface by name and network namespace (none: on the host).
    #[must_use]
    pub fn interface(&self, name: &str, sandbox: Option<&str>) -> Option<usize> {
        let sandbox_of = |interface: &Interface| interface.sandbox.clone().filter(|sandbox| !sandbox.is_empty());
        self.interfaces
            .iter()
            .position(|interface| interface.name == name && sandbox_of(interface).as_deref() == sandbox)
    }
}
