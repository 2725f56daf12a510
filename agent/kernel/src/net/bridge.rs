//! Bridges of a former network plugin, whose pods go on. They have addresses of the node's pod CIDR and take all of it for
//! their link: for a pod of ours they ask there, by ARP, and the host answers in its place.

use std::{collections::HashSet, net::IpAddr};

use ipnetwork::IpNetwork;
use netlink_packet_route::link::InfoKind;
use rtnetlink::Handle;

use super::{
    NetError,
    link::{self, Device},
    sysctl,
};

/// Makes every bridge answer that holds an address of the node's pod CIDRs.
///
/// # Errors
/// The kernel's.
pub async fn answer(handle: &Handle, pod_cidrs: &[IpNetwork]) -> Result<(), NetError> {
    let devices = link::all(handle).await?;
    if !devices.iter().any(is_bridge) {
        return Ok(());
    }
    let addresses = link::addresses(handle).await?.into_iter();
    let ours = |ip: &IpAddr| ip.is_ipv4() && pod_cidrs.iter().any(|cidr| cidr.contains(*ip));
    let within: HashSet<u32> = addresses.filter(|(ip, _)| ours(ip)).map(|(_, ifindex)| ifindex).collect();
    let bridges = devices.iter().filter(|device| is_bridge(device) && within.contains(&device.ifindex));
    bridges.into_iter().try_for_each(|bridge| sysctl::answering_bridge(&bridge.name))
}

fn is_bridge(device: &Device) -> bool {
    device.kind == Some(InfoKind::Bridge)
}
