//! Two namespaces joined by a veth: the least that same-node traffic can cost through the kernel's own devices.

use std::net::IpAddr;

use anyhow::Result;
use test_kit::topology::Netns;

use super::{MTU, Path, Place};

/// The pair.
#[derive(Debug)]
pub struct Pair {
    /// Where clients are.
    pub client: Netns,
    /// Where servers are; its end is `eth0`, as the client's is.
    pub server: Netns,
    address: IpAddr,
    _place: Place,
}

impl Pair {
    /// Makes it.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn new() -> Result<Self> {
        let place = Place::new();
        let (client, server) = (Netns::new(&place.name("client"))?, Netns::new(&place.name("server"))?);
        client.ip(&format!("link add eth0 mtu {MTU} type veth peer name eth0 mtu {MTU} netns {}", server.name()))?;
        for (netns, address) in [(&client, "10.251.0.1/24"), (&server, "10.251.0.2/24")] {
            netns.ip(&format!("addr add {address} dev eth0"))?;
            netns.ip("link set eth0 up")?;
        }
        Ok(Self { client, server, address: IpAddr::from([10, 251, 0, 2]), _place: place })
    }

    /// Through it.
    pub fn path(&self, subject: &'static str) -> Path<'_> {
        Path::new(subject, &self.client, &self.server, self.address)
    }
}
