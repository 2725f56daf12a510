//! Redirects: into a pod, out to a neighbour, to another device.

use aya_ebpf::{
    bindings::TC_ACT_REDIRECT,
    helpers::{bpf_redirect, bpf_redirect_neigh, bpf_redirect_peer},
    programs::TcContext,
};
use ferrule_common::{Address, Drop, Outcome};

use crate::observe::count::Passed;

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

/// Into the network namespace behind the veth `ifindex`.
#[inline(always)]
pub fn into(ctx: &TcContext, ifindex: u32, outcome: Outcome) -> Result<Passed, Drop> {
    show_target(ctx, ifindex);
    // SAFETY: takes two integers; a stale index makes the kernel drop the packet.
    redirected(unsafe { bpf_redirect_peer(ifindex, 0) }, outcome)
}

/// To a device's egress.
#[inline(always)]
pub fn to_device(ctx: &TcContext, ifindex: u32, outcome: Outcome) -> Result<Passed, Drop> {
    show_target(ctx, ifindex);
    // SAFETY: takes two integers; flags 0 is the device's egress.
    redirected(unsafe { bpf_redirect(ifindex, 0) } as i64, outcome)
}

/// The kernel's `bpf_redir_neigh`: the address is in network byte order, an IPv4 one in the first word.
#[repr(C)]
struct NextHop {
    family: u32,
    address: [u32; 4],
}

/// Out by a device of the node's to a neighbour of its, whose MAC the kernel knows or finds out.
#[inline(always)]
pub fn by_next_hop(ctx: &TcContext, next_hop: &Address, ifindex: u32, outcome: Outcome) -> Result<Passed, Drop> {
    let words = next_hop.words();
    let mut params = if next_hop.is_v4() {
        NextHop { family: AF_INET, address: [words[3], 0, 0, 0] }
    } else {
        NextHop { family: AF_INET6, address: words }
    };
    show_target(ctx, ifindex);
    // SAFETY: `params` outlives the call and its size is given.
    let result = unsafe { bpf_redirect_neigh(ifindex, (&raw mut params).cast(), size_of::<NextHop>() as i32, 0) };
    redirected(result, outcome)
}

#[inline(always)]
fn redirected(result: i64, outcome: Outcome) -> Result<Passed, Drop> {
    if result == i64::from(TC_ACT_REDIRECT) {
        Ok(Passed { outcome, action: TC_ACT_REDIRECT })
    } else {
        Err(Drop::Redirect)
    }
}

/// A redirect's target is invisible from outside the kernel; the control block shows it to packet tests.
#[inline(always)]
fn show_target(ctx: &TcContext, ifindex: u32) {
    // SAFETY: the context pointer is valid while the program runs, and `cb` is a classifier's to write.
    unsafe { (*ctx.skb.skb).cb[0] = ifindex };
}
