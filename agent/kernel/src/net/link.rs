//! Devices: found by name, index or address.

use std::net::IpAddr;

use futures::TryStreamExt;
use netlink_packet_route::{
    address::AddressAttribute,
    link::{InfoKind, LinkAttribute, LinkInfo, LinkLayerType, LinkMessage},
};
use rtnetlink::{Handle, LinkUnspec};

use super::{NetError, errno};

/// What the agent needs to know of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Interface index.
    pub ifindex: u32,
    /// Name.
    pub name: String,
    /// MTU, in bytes.
    pub mtu: u32,
    /// Ethernet address, or empty.
    pub mac: Vec<u8>,
    /// `veth`, `vxlan`, …, where the kernel names a kind.
    pub kind: Option<InfoKind>,
    /// Administratively up.
    pub up: bool,
    /// Frames have Ethernet headers (`ARPHRD_ETHER`).
    pub ethernet: bool,
    /// The bridge, bond or VRF that it is part of; 0 where it is of none.
    pub master: u32,
    /// The device that it lies upon, as a VLAN or macvlan does; 0 where it lies upon none of this network namespace.
    pub lower: u32,
}

impl From<&LinkMessage> for Device {
    fn from(message: &LinkMessage) -> Self {
        let mut device = Self {
            ifindex: message.header.index,
            name: String::new(),
            mtu: 0,
            mac: Vec::new(),
            kind: None,
            up: message.header.flags.contains(netlink_packet_route::link::LinkFlags::Up),
            ethernet: message.header.link_layer_type == LinkLayerType::Ether,
            master: 0,
            lower: 0,
        };
        let mut elsewhere = false;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => device.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
                LinkAttribute::Address(mac) => device.mac.clone_from(mac),
                LinkAttribute::Controller(index) => device.master = *index,
                LinkAttribute::Link(index) => device.lower = *index,
                // A veth's other end, elsewhere.
                LinkAttribute::LinkNetNsId(_) => elsewhere = true,
                LinkAttribute::LinkInfo(infos) => {
                    device.kind = infos.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.clone()),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        if elsewhere {
            device.lower = 0;
        }
        device
    }
}

/// The device of this name.
///
/// # Errors
/// The kernel's, except that there is none.
pub async fn by_name(handle: &Handle, name: &str) -> Result<Option<Device>, NetError> {
    let message = handle.link().get().match_name(name.to_owned()).execute().try_next().await;
    absent_is_none(message, || format!("device {name} could not be read"))
}

/// The device with this interface index.
///
/// # Errors
/// The kernel's, except that there is none.
pub async fn by_index(handle: &Handle, ifindex: u32) -> Result<Option<Device>, NetError> {
    let message = handle.link().get().match_index(ifindex).execute().try_next().await;
    absent_is_none(message, || format!("device {ifindex} could not be read"))
}

/// Every device.
///
/// # Errors
/// The kernel's.
pub async fn all(handle: &Handle) -> Result<Vec<Device>, NetError> {
    let _turn = super::LISTING.lock().await;
    let messages: Vec<LinkMessage> = handle
        .link()
        .get()
        .execute()
        .try_collect()
        .await
        .map_err(NetError::netlink("the devices could not be listed"))?;
    Ok(messages.iter().map(Device::from).collect())
}

/// Every address with its device's interface index.
///
/// # Errors
/// The kernel's.
pub async fn addresses(handle: &Handle) -> Result<Vec<(IpAddr, u32)>, NetError> {
    let _turn = super::LISTING.lock().await;
    let mut messages = handle.address().get().execute();
    let mut found = Vec::new();
    while let Some(message) =
        messages.try_next().await.map_err(NetError::netlink("the addresses could not be listed"))?
    {
        // IFA_LOCAL is the address itself where the device is point-to-point; IFA_ADDRESS then is the peer's.
        let local = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(ip) => Some(*ip),
            _ => None,
        });
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(ip) => Some(*ip),
            _ => None,
        });
        if let Some(ip) = local.or(address) {
            found.push((ip, message.header.index));
        }
    }
    Ok(found)
}

/// Gives a device back its MAC and MTU and brings it up, where that differs.
///
/// # Errors
/// The kernel's.
pub async fn restore(handle: &Handle, device: &Device, mac: [u8; 6], mtu: u32) -> Result<(), NetError> {
    if device.up && device.mac == mac && device.mtu == mtu {
        return Ok(());
    }
    let change = LinkUnspec::new_with_index(device.ifindex).address(mac.to_vec()).mtu(mtu).up().build();
    let what = format!("device {} could not be brought up with MTU {mtu}", device.name);
    handle.link().set(change).execute().await.map_err(NetError::netlink(what))
}

fn absent_is_none(
    message: Result<Option<LinkMessage>, rtnetlink::Error>,
    what: impl FnOnce() -> String,
) -> Result<Option<Device>, NetError> {
    match message {
        Ok(message) => Ok(message.as_ref().map(Device::from)),
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(None),
        Err(source) => Err(NetError::Netlink { what: what(), source }),
    }
}
