//! What a packet says of itself on its way through the host. One bit of its mark: its sender's egress is not judged yet, since
//! the host's NAT may give it another destination. `tc_index`: it was left to the stack, or put into the tunnel by this node.

use aya_ebpf::programs::TcContext;
use ferrule_common::settings;

use crate::maps::OPEN_MARK;

/// Says so.
#[inline(always)]
pub fn set_open(ctx: &TcContext) {
    // SAFETY: the context pointer is valid while the program runs, and the mark is a classifier's to write.
    unsafe { (*ctx.skb.skb).mark |= OPEN_MARK.load() };
}

/// Says that the overlay device made what leaves now. A number of its own, since over IPv6 the kernel's tunnel keeps the device
/// that the inner packet came by; and a pod, which may set it on its own side, reaches no tunnel's port by it.
#[inline(always)]
pub fn set_tunnelled(ctx: &TcContext) {
    // SAFETY: as in `set_open`.
    unsafe { (*ctx.skb.skb).tc_index = settings::TUNNELLED };
}

/// Whether it was said, or [`set_encapsulated`].
#[inline(always)]
pub fn is_tunnelled(ctx: &TcContext) -> bool {
    // SAFETY: as in `set_open`.
    is_encapsulated(ctx) || unsafe { (*ctx.skb.skb).tc_index == settings::TUNNELLED }
}

/// Says that a program has encapsulated it: nothing is left to be judged. Each program by which a packet comes to this node takes
/// the word from whoever said so before.
#[inline(always)]
pub fn set_encapsulated(ctx: &TcContext) {
    // SAFETY: as in `set_open`.
    unsafe { (*ctx.skb.skb).tc_index = settings::ENCAPSULATED };
}

/// Whether it was said.
#[inline(always)]
pub fn is_encapsulated(ctx: &TcContext) -> bool {
    // SAFETY: as in `set_open`.
    unsafe { (*ctx.skb.skb).tc_index == settings::ENCAPSULATED }
}

/// Whoever sent it, a pod or another host, says nothing of the kind.
#[inline(always)]
pub fn clear_tunnelled(ctx: &TcContext) {
    // SAFETY: as in `set_open`.
    unsafe { (*ctx.skb.skb).tc_index = 0 };
}

/// Says that a pod's packet goes on through the host's stack.
#[inline(always)]
pub fn set_left_to_stack(ctx: &TcContext) {
    // SAFETY: as in `set_open`.
    unsafe { (*ctx.skb.skb).tc_index = settings::LEFT_TO_STACK };
}

/// Whether it was said. A pod that says so itself is answered through the stack, and no more.
#[inline(always)]
pub fn is_left_to_stack(ctx: &TcContext) -> bool {
    // SAFETY: as in `set_open`.
    unsafe { (*ctx.skb.skb).tc_index == settings::LEFT_TO_STACK }
}

/// Whether it was said; it is not any more.
#[inline(always)]
pub fn take_open(ctx: &TcContext) -> bool {
    let bit = OPEN_MARK.load();
    // SAFETY: as in `set_open`.
    unsafe {
        let mark = (*ctx.skb.skb).mark;
        if mark & bit == 0 {
            return false;
        }
        (*ctx.skb.skb).mark = mark & !bit;
    }
    true
}
