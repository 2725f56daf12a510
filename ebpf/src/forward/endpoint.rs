//! Which local pod sends: its address and its MAC, or the packet goes nowhere.

use aya_ebpf::programs::TcContext;
use ferrule_common::{
    Address, Drop,
    endpoint::{CHAINED, Endpoint, VIA_STACK},
    link::Link,
};

use crate::{
    maps::{ENDPOINTS, LINKS, SOURCES},
    parse::packet::{Packet, class, ifindex, source_mac},
};

/// The local pod with this address.
#[inline(always)]
pub fn local(address: &Address) -> Option<&'static Endpoint> {
    // SAFETY: entries are written when a pod is added or removed only; a reader that meets one being freed sees the
    // removed pod's values, for packets that raced its removal.
    unsafe { ENDPOINTS.get(address) }
}

/// Who sends.
#[derive(Clone, Copy)]
pub struct Sender {
    /// As in `fr_endpoints`.
    pub flags: u16,
    /// The endpoint's index.
    pub index: u32,
}

/// Checks that the packet's source address and MAC are those of the pod behind this device.
#[inline(always)]
pub fn sender(ctx: &TcContext, packet: &Packet) -> Result<Sender, Drop> {
    let mac = source_mac(ctx)?;
    let index = class(ctx);
    if let Some(own) = SOURCES.get(index)
        && own.ifindex == ifindex(ctx)
        && own.mac.halves() == mac
        && packet.source == if packet.v4 { own.v4 } else { own.v6 }
    {
        return Ok(Sender { flags: own.flags, index });
    }
    // Another address of the pod's, a filter without its class, or a stranger.
    let endpoint = local(&packet.source).ok_or(Drop::SpoofedAddress)?;
    if endpoint.ifindex != ifindex(ctx) {
        return Err(Drop::SpoofedAddress);
    }
    if mac != endpoint.mac.halves() {
        return Err(Drop::SpoofedMac);
    }
    Ok(Sender { flags: endpoint.flags, index: endpoint.index })
}

/// Whether a pod's packets pass its veth's queueing disciplines.
#[inline(always)]
pub const fn is_via_stack(flags: u16) -> bool {
    flags & VIA_STACK != 0
}

/// Whether another plugin delivers a pod's packets.
#[inline(always)]
pub const fn is_chained(flags: u16) -> bool {
    flags & CHAINED != 0
}

/// Whether another plugin made this link.
#[inline(always)]
pub fn is_chained_link(ctx: &TcContext, link: &Link) -> bool {
    SOURCES.get(link.index).is_some_and(|source| source.ifindex == ifindex(ctx) && is_chained(source.flags))
}

/// The pod behind this device, whoever sends.
#[inline(always)]
pub fn behind(ctx: &TcContext) -> Option<&'static Link> {
    behind_link(ifindex(ctx))
}

/// The pod behind a device of this node.
#[inline(always)]
pub fn behind_link(ifindex: u32) -> Option<&'static Link> {
    // SAFETY: as in `local`.
    unsafe { LINKS.get(ifindex) }
}

/// The pod behind this device, for packets that no address names: ARP, `::`, link-local. Checks the source MAC.
#[inline(always)]
pub fn by_link(ctx: &TcContext) -> Result<&'static Link, Drop> {
    let link = behind(ctx).ok_or(Drop::SpoofedAddress)?;
    if source_mac(ctx)? != link.mac.halves() {
        return Err(Drop::SpoofedMac);
    }
    Ok(link)
}

/// Whether `address` belongs to the pod behind this device.
#[inline(always)]
pub fn owns(ctx: &TcContext, address: &Address) -> bool {
    local(address).is_some_and(|endpoint| endpoint.ifindex == ifindex(ctx))
}
