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

/// Makes the device, or brings an existing one to what is wanted; one with another port is made anew.
///
/// # Errors
/// The kernel's, or [`NetError::ForeignDevice`].
pub async fn ensure(handle: &Handle, wanted: &Wanted) -> Result<Device, NetError> {
    if let Some(device) = link::by_name(handle, &wanted.name).await? {
        match port(handle, &device).await? {
            Some(port) if port == wanted.port => return adjust(handle, wanted, device).await,
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
    adjust(handle, wanted, device).await
}

/// Brings everything but its state to what is wanted: a new device stays down until [`up`].
async fn adjust(handle: &Handle, wanted: &Wanted, device: Device) -> Result<Device, NetError> {
    sysctl::forwarded_device(&wanted.name)?;
    if device.mtu == wanted.mtu && device.up && device.mac == wanted.mac {
        return Ok(device);
    }
    // No link-local address: nobody is to be found on this device. The kernel refuses it when the device is made, and
    // heeds it before the device is up only.
    let unnumbered = LinkUnspec::new_with_index(device.ifindex)
        .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
            In6AddrGenMode::None,
        )])]))
        .build();
    let sized =
        LinkUnspec::new_with_index(device.ifindex).address(wanted.mac.to_vec()).mtu(wanted.mtu).arp(false).build();
    for change in [unnumbered, sized] {
        let what = format!("the VXLAN device {} could not be configured", wanted.name);
        handle.link().set(change).execute().await.map_err(NetError::netlink(what))?;
    }
    Ok(Device { mtu: wanted.mtu, mac: wanted.mac.to_vec(), ..device })
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
/// The kernel's.
pub async fn ensure_addresses(handle: &Handle, ifindex: u32, addresses: &[IpAddr]) -> Result<(), NetError> {
    for address in addresses {
        add_address(handle, ifindex, *address).await?;
    }
    Ok(())
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
