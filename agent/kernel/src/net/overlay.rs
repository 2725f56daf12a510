//! The one VXLAN device of the node, controlled by tunnel metadata: the programs and the routes say where packets go.

use std::net::IpAddr;

use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo,
};
use rtnetlink::{Handle, LinkUnspec, LinkVxlan};

use super::{
    NetError, errno,
    link::{self, Device},
    sysctl,
};

/// What the device has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The UDP port, host byte order.
    pub port: u16,
    /// Bytes of a layer 3 packet inside the tunnel.
    pub mtu: u32,
    /// Its Ethernet address: given when it is made, since udev changes others; never one for all nodes.
    pub mac: [u8; 6],
}

/// Makes the device, or brings an existing one to what is wanted; one with another port is made anew. What of it the kernel
/// refused is beside the device.
///
/// # Errors
/// Where there is no such device: the kernel's, or [`NetError::ForeignDevice`].
pub async fn ensure(handle: &Handle, wanted: &Wanted) -> Result<(Device, Vec<NetError>), NetError> {
    if let Some(device) = link::by_name(handle, &wanted.name).await? {
        match port(handle, &device).await? {
            Some(port) if port == wanted.port => return Ok(adjust(handle, wanted, device).await),
            Some(_) => remove(handle, &wanted.name).await?,
            None => return Err(NetError::ForeignDevice { name: wanted.name.clone() }),
        }
    }
    let message = LinkVxlan::new(&wanted.name, 0)
        .collect_metadata(true)
        .learning(false)
        .port(wanted.port)
        .address(wanted.mac.to_vec())
        .mtu(wanted.mtu)
        // The programs and the routes name the node; nobody asks on this device.
        .arp(false)
        .build();
    handle
        .link()
        .add(message)
        .execute()
        .await
        .map_err(NetError::netlink(format!("the VXLAN device {} could not be made", wanted.name)))?;
    let device = link::by_name(handle, &wanted.name).await?.ok_or_else(|| NetError::NoDevice(wanted.name.clone()))?;
    Ok(adjust(handle, wanted, device).await)
}

/// Brings everything but its state to what is wanted: a new device stays down until [`up`]. A step that fails keeps no other
/// from its turn.
async fn adjust(handle: &Handle, wanted: &Wanted, mut device: Device) -> (Device, Vec<NetError>) {
    let mut errors = Vec::new();
    let what = |part: &str| format!("{part} of the VXLAN device {} could not be set", wanted.name);
    let set = |change, what| async move { handle.link().set(change).execute().await.map_err(NetError::netlink(what)) };
    let ifindex = device.ifindex;
    let this = || LinkUnspec::new_with_index(ifindex);
    let differs = device.mtu != wanted.mtu || !device.up || device.mac != wanted.mac;
    // First: below IPv6's least the kernel takes IPv6 off the device, and what follows finds nothing to set.
    let sized = if device.mtu == wanted.mtu {
        Ok(())
    } else {
        set(this().mtu(wanted.mtu).build(), what(&format!("the MTU {}", wanted.mtu))).await
    };
    // No link-local address: nobody is to be found on this device. The kernel refuses it when the device is made, and
    // heeds it before the device is up only.
    if differs {
        let mode = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let unnumbered = this().append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![mode])).build();
        match set(unnumbered, what("the mode of IPv6 addresses")).await {
            // The device has no IPv6 to be set.
            Err(error) if error.errno() == Some(libc::EAFNOSUPPORT) => {}
            other => errors.extend(other.err()),
        }
        let known = set(this().address(wanted.mac.to_vec()).arp(false).build(), what("the MAC")).await;
        if known.is_ok() {
            device.mac = wanted.mac.to_vec();
        }
        errors.extend(known.err());
    }
    match sized {
        Ok(()) => device.mtu = wanted.mtu,
        Err(error) => errors.push(error),
    }
    // What comes back with the MTU begins with the kernel's defaults.
    errors.extend(sysctl::forwarded_device(&wanted.name).err());
    (device, errors)
}

/// Takes off the device what the kernel gives it by itself when it gets IPv6 back while it is up: nobody is to be found there.
///
/// # Errors
/// The first of the kernel's, after trying everything.
pub async fn remove_link_local(handle: &Handle, ifindex: u32, addresses: &[(IpAddr, u32)]) -> Result<(), NetError> {
    let mut result = Ok(());
    for (address, at) in addresses {
        if *at != ifindex || !matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
            continue;
        }
        let message = handle.address().add(ifindex, *address, 64).message_mut().clone();
        let removed = match handle.address().del(message).execute().await {
            Err(error) if errno(&error) == Some(libc::EADDRNOTAVAIL) => Ok(()),
            other => other.map_err(NetError::netlink(format!("address {address} could not be removed"))),
        };
        result = result.and(removed);
    }
    result
}

/// Brings the device up, when its programs are attached.
///
/// # Errors
/// The kernel's: `EADDRINUSE` where something else has the UDP port.
pub async fn up(handle: &Handle, device: &Device) -> Result<(), NetError> {
    if device.up {
        return Ok(());
    }
    let what = format!(
        "the VXLAN device {} could not be brought up; where its UDP port is taken, give another (--vxlan-port)",
        device.name
    );
    let change = LinkUnspec::new_with_index(device.ifindex).up().build();
    handle.link().set(change).execute().await.map_err(NetError::netlink(what))
}

/// Puts the node's own addresses of families that have no InternalIP on the device, as /32 and /128.
///
/// # Errors
/// The first of the kernel's, after trying everything.
pub async fn ensure_addresses(handle: &Handle, ifindex: u32, addresses: &[IpAddr]) -> Result<(), NetError> {
    let mut result = Ok(());
    for address in addresses {
        result = result.and(add_address(handle, ifindex, *address).await);
    }
    result
}

/// Adds an address with its full prefix length and without duplicate address detection; one that is there is fine.
pub(super) async fn add_address(handle: &Handle, ifindex: u32, address: IpAddr) -> Result<(), NetError> {
    use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
    let mut request = handle.address().add(ifindex, address, if address.is_ipv4() { 32 } else { 128 });
    if address.is_ipv6() {
        let message = request.message_mut();
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    match request.execute().await {
        Err(error) if errno(&error) == Some(libc::EEXIST) => Ok(()),
        other => other.map_err(NetError::netlink(format!("address {address} could not be added"))),
    }
}

/// Removes the device; none is fine.
///
/// # Errors
/// The kernel's.
pub async fn remove(handle: &Handle, name: &str) -> Result<(), NetError> {
    let Some(device) = link::by_name(handle, name).await? else { return Ok(()) };
    match handle.link().del(device.ifindex).execute().await {
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(()),
        other => other.map_err(NetError::netlink(format!("device {name} could not be removed"))),
    }
}

/// The UDP port of a collect-metadata VXLAN device; `None` where it is something else.
async fn port(handle: &Handle, device: &Device) -> Result<Option<u16>, NetError> {
    use futures::TryStreamExt;
    if device.kind != Some(InfoKind::Vxlan) {
        return Ok(None);
    }
    let message = handle.link().get().match_index(device.ifindex).execute().try_next().await;
    let message = message.map_err(NetError::netlink(format!("device {} could not be read", device.name)))?;
    let data = message.into_iter().flat_map(|message| message.attributes).find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => infos.into_iter().find_map(|info| match info {
            LinkInfo::Data(InfoData::Vxlan(data)) => Some(data),
            _ => None,
        }),
        _ => None,
    });
    let data = data.unwrap_or_default();
    if !data.iter().any(|item| matches!(item, InfoVxlan::CollectMetadata(true))) {
        return Ok(None);
    }
    Ok(data.iter().find_map(|item| match item {
        InfoVxlan::Port(port) => Some(*port),
        _ => None,
    }))
}
