//! One bit of a packet's mark: its sender's egress is not judged yet, since the host's NAT may give it another
//! destination. It crosses the host's stack with the packet.

use aya_ebpf::programs::TcContext;

use crate::maps::OPEN_MARK;

/// Says so.
#[inline(always)]
pub fn set_open(ctx: &TcContext) {
    // SAFETY: the context pointer is valid while the program runs, and the mark is a classifier's to write.
    unsafe { (*ctx.skb.skb).mark |= OPEN_MARK.load() };
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
