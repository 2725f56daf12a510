//! Messages of IPv6 neighbour discovery (RFC 4861).

use aya_ebpf::programs::TcContext;
use ferrule_common::{Address, Drop, settings};

use super::endpoint;
use crate::parse::{packet::Packet, scope};

pub const ROUTER_SOLICITATION: u8 = 133;
pub const ROUTER_ADVERTISEMENT: u8 = 134;
pub const NEIGHBOR_SOLICITATION: u8 = 135;
pub const NEIGHBOR_ADVERTISEMENT: u8 = 136;
pub const REDIRECT: u8 = 137;

/// Neighbour discovery is not routed: RFC 4861 section 7.1.
pub const ON_LINK: u8 = 255;

pub const GATEWAY: Address = Address::v6(settings::GATEWAY_V6);

/// Where the target address stands in a solicitation or an advertisement.
pub const TARGET: u32 = 8;

/// Which address a solicitation or an advertisement is about.
#[inline(always)]
pub fn target(ctx: &TcContext, packet: &Packet) -> Result<Address, Drop> {
    if packet.hop_limit != ON_LINK {
        return Err(Drop::Malformed);
    }
    packet.load::<Address>(ctx, TARGET)
}

/// Whether a pod may speak for an address.
#[inline(always)]
pub fn is_own(ctx: &TcContext, target: &Address) -> bool {
    scope::is_link_local_v6(target) && *target != GATEWAY || endpoint::owns(ctx, target)
}
