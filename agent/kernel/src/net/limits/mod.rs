//! Bandwidth limits that the agent sets itself, on a pod whose programs are clsact filters: the plugin `bandwidth` cannot,
//! since its `ingress` qdisc and clsact exclude each other. Nothing of it is in the pod's reach.
//!
//! ```text
//! to the pod:   the node's stack ─▶ fr…: to_pod ─▶ tbf ─▶ the pod
//! from the pod: the pod ─▶ fr…: from_pod ─▶ u32, mirred ─▶ fi…: tbf ─▶ the node's stack
//! ```
//! The device `fi…` is an ifb, of which each limited pod has its own. While it is missing, what the pod sends is dropped.

mod rate;
mod redirect;
mod request;
mod tbf;

use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
pub use rate::{Asked, Limits, Rate};
use rtnetlink::{Handle, LinkUnspec};

use super::{
    NetError, errno,
    link::{self, Device},
    own::ifb_name,
    survey::Survey,
};

/// Sets the limits of the pod behind a device that has clsact, or brings them to what is wanted. Idempotent.
///
/// # Errors
/// The kernel's.
pub async fn ensure(handle: &Handle, name: &str, ifindex: u32, limits: &Limits) -> Result<(), NetError> {
    if let Some(rate) = limits.to_pod {
        tbf::set(handle, name, ifindex, rate).await?;
    }
    let Some(rate) = limits.from_pod else { return Ok(()) };
    let own = ifb_name(name);
    let device = match link::by_name(handle, &own).await? {
        Some(device) if device.kind != Some(InfoKind::Ifb) => return Err(NetError::NotIfb(own)),
        Some(device) => device,
        None => add(handle, &own).await?,
    };
    tbf::set(handle, &own, device.ifindex, rate).await?;
    if !device.up {
        let up = LinkUnspec::new_with_index(device.ifindex).up().build();
        let what = format!("device {own} could not be brought up");
        handle.link().set(up).execute().await.map_err(NetError::netlink(what))?;
    }
    redirect::set(handle, name, ifindex, device.ifindex).await
}

/// What is not as it should be, a phrase each.
///
/// # Errors
/// The kernel's.
pub async fn differences(
    handle: &Handle,
    host: &Device,
    limits: &Limits,
    survey: &Survey,
) -> Result<Vec<String>, NetError> {
    let mut found = Vec::new();
    if let Some(rate) = limits.to_pod
        && tbf::rate(handle, host.ifindex).await? != Some(rate.bytes)
    {
        found.push(format!("{} does not limit what the pod receives to {rate}", host.name));
    }
    let Some(rate) = limits.from_pod else { return Ok(found) };
    let own = ifb_name(&host.name);
    let Some(device) = survey.links.get(&own) else {
        found.push(format!("the device {own}, which limits what the pod sends, is gone"));
        return Ok(found);
    };
    if !device.up {
        found.push(format!("the device {own} is down"));
    }
    if tbf::rate(handle, device.ifindex).await? != Some(rate.bytes) {
        found.push(format!("{own} does not limit what the pod sends to {rate}"));
    }
    if redirect::target(handle, host.ifindex).await? != Some(device.ifindex) {
        found.push(format!("{} does not lead what the pod sends through {own}", host.name));
    }
    Ok(found)
}

/// Removes the ifb of a pod whose host side is gone; none is fine.
///
/// # Errors
/// The kernel's. A device of that name that is no ifb is left alone, with [`NetError::NotIfb`].
pub async fn remove(handle: &Handle, host_ifname: &str) -> Result<(), NetError> {
    let name = ifb_name(host_ifname);
    let Some(device) = link::by_name(handle, &name).await? else { return Ok(()) };
    if device.kind != Some(InfoKind::Ifb) {
        return Err(NetError::NotIfb(name));
    }
    match handle.link().del(device.ifindex).execute().await {
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(()),
        other => other.map_err(NetError::netlink(format!("device {name} could not be removed"))),
    }
}

async fn add(handle: &Handle, name: &str) -> Result<Device, NetError> {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes =
        vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)])];
    let what = format!(
        "device {name} could not be made; what a pod sends is limited by an ifb (CONFIG_IFB): load that module, or \
         leave the pod's egress bandwidth out"
    );
    handle.link().add(message).execute().await.map_err(NetError::netlink(what))?;
    link::by_name(handle, name).await?.ok_or_else(|| NetError::NoDevice(name.to_owned()))
}
