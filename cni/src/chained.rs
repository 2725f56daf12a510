//! An interface that another plugin of the chain made: its addresses by `prevResult`, and the host side of its veth, on
//! which policies are enforced.

use std::{net::IpAddr, os::fd::AsFd};

use ferrule_netlink::{Netlink, link::Link, netns::Netns};

use crate::{
    fault::{ChainedError, Fault},
    spec::result::AddResult,
};

/// Only veths have a host side where pods' packets pass.
const VETH: &str = "veth";

/// Both sides of the veth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// The node's.
    pub host: Link,
    /// The container's.
    pub pod: Link,
}

/// Finds both sides of the container's interface `ifname`.
///
/// # Errors
/// [`ChainedError`], and the kernel's.
pub fn sides(netns: &Netns, path: &str, ifname: &str) -> Result<Sides, Fault> {
    let (name, at) = (|| ifname.to_owned(), || path.to_owned());
    let pod = netns.netlink()?.link(ifname)?.ok_or_else(|| ChainedError::Missing { ifname: name(), netns: at() })?;
    if pod.kind.as_deref() != Some(VETH) {
        let kind = pod.kind.unwrap_or_default();
        return Err(ChainedError::Kind { ifname: name(), netns: at(), kind }.into());
    }
    let mut netlink = Netlink::open()?;
    let host = match pod.peer {
        Some(peer) => netlink.link_by_index(peer)?,
        None => None,
    };
    // Indices are small numbers: another veth may have the same two.
    let id = netlink.netns_id(netns.as_fd())?;
    let is_other_side = |host: &Link| {
        host.kind.as_deref() == Some(VETH) && host.peer == Some(pod.index) && id.is_some() && host.peer_netns == id
    };
    let host = host.filter(is_other_side).ok_or_else(|| ChainedError::Elsewhere { ifname: name(), netns: at() })?;
    Ok(Sides { host, pod })
}

/// The addresses that a result gives an interface; one that names none counts, as plugins before 1.0.0 leave it out.
#[must_use]
pub fn addresses(result: &AddResult, interface: usize) -> Vec<IpAddr> {
    let own = result.ips.iter().filter(|ip| ip.interface.is_none_or(|of| of == interface));
    own.map(|ip| ip.address.ip()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_addresses_of_other_interfaces_are_not_its_own() {
        let result = json!({
            "interfaces": [{"name": "veth1"}, {"name": "eth0", "sandbox": "/n"}],
            "ips": [
                {"interface": 1, "address": "10.1.0.5/24"}, {"interface": 0, "address": "10.1.0.1/24"},
                {"address": "fd00::5/64"},
            ],
        });
        let result = AddResult::read("prevResult", result).unwrap();
        let expected: Vec<IpAddr> = ["10.1.0.5", "fd00::5"].map(|text| text.parse().unwrap()).into();
        assert_eq!(addresses(&result, 1), expected);
    }
}
