//! Whether a packet that the host's stack forwards came by the device behind which its source's owner is. Programs on devices see
//! to that where they run; a packet that came by another device has nobody's address, or goes nowhere.

use aya_ebpf::programs::TcContext;
use ferrule_common::Drop;

use crate::{
    forward::{endpoint, owner},
    parse::packet::{Packet, came_by},
};

/// Checks a packet that leaves the stack. What the node itself made is right, and so is its own address, which the host's
/// masquerading gives to what it forwards.
#[inline(always)]
pub fn check(ctx: &TcContext, packet: &Packet) -> Result<(), Drop> {
    let by = came_by(ctx);
    if by == 0 {
        return Ok(());
    }
    let right = if let Some(pod) = endpoint::local(&packet.source) {
        // The bridge of another plugin hides by which link its pods send.
        pod.ifindex == by || endpoint::is_chained(pod.flags) && endpoint::behind_link(by).is_none()
    } else {
        let owner = owner::of(&packet.source, packet.v4);
        // An address of this node's pod CIDRs that no pod has may be of a pod that a former plugin connected.
        owner.is_nobody() || owner.is_node() || owner.is_self() || owner.node().is_some_and(|node| node.ifindex == by)
    };
    if right { Ok(()) } else { Err(Drop::WrongDevice) }
}
