//! What a socket program is called with, and what it answers.

use aya_ebpf::{bindings::bpf_sock_addr, helpers::generated::bpf_set_retval, programs::SockAddrContext};
use ferrule_common::{
    Address,
    service::{Backend, FrontendKey},
    wire::protocol::{TCP, UDP},
};

use crate::maps::SET_RETVAL;

/// The call goes on.
pub const GO: i32 = 1;
/// The call fails.
const REFUSE: i32 = 0;
/// `IPPROTO_MPTCP`, which no header carries.
pub const MPTCP: u32 = 262;

/// The error that a client gets where nobody listens, as far as the kernel lets a program choose it.
#[inline(always)]
pub fn refuse() -> i32 {
    const CONNECTION_REFUSED: i32 = -111;
    if SET_RETVAL.load() != 0 {
        // SAFETY: takes a number.
        unsafe { bpf_set_retval(CONNECTION_REFUSED) };
    }
    REFUSE
}

/// The protocol that a Service's port may have.
#[inline(always)]
pub fn protocol(ctx: &SockAddrContext) -> Option<u8> {
    if is_of(ctx, TCP.into()) || is_of(ctx, MPTCP) {
        Some(TCP)
    } else if is_of(ctx, UDP.into()) {
        Some(UDP)
    } else {
        None
    }
}

/// Whether the socket is of this protocol, as sockets have it.
#[inline(always)]
pub fn is_of(ctx: &SockAddrContext, protocol: u32) -> bool {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (&raw const (*ctx.sock_addr).protocol).read_volatile() == protocol }
}

/// The address that the call is about. Word by word, as the verifier wants a context read.
#[inline(always)]
pub fn end<const V4: bool>(ctx: &SockAddrContext) -> Backend {
    let ctx: *mut bpf_sock_addr = ctx.sock_addr;
    // SAFETY: the context pointer is valid while the program runs, and these fields are for programs of this kind.
    unsafe {
        let port_be = (&raw const (*ctx).user_port).read_volatile() as u16;
        let address = if V4 {
            Address::v4((&raw const (*ctx).user_ip4).read_volatile().to_ne_bytes())
        } else {
            Address::from_words([
                (&raw const (*ctx).user_ip6[0]).read_volatile(),
                (&raw const (*ctx).user_ip6[1]).read_volatile(),
                (&raw const (*ctx).user_ip6[2]).read_volatile(),
                (&raw const (*ctx).user_ip6[3]).read_volatile(),
            ])
        };
        Backend::new(address, port_be)
    }
}

/// Gives the call another address.
#[inline(always)]
pub fn lead<const V4: bool>(ctx: &SockAddrContext, to: &Backend) {
    let words = to.address.words();
    let ctx: *mut bpf_sock_addr = ctx.sock_addr;
    // SAFETY: as in `end`.
    unsafe {
        if V4 {
            (&raw mut (*ctx).user_ip4).write_volatile(words[3]);
        } else {
            (&raw mut (*ctx).user_ip6[0]).write_volatile(words[0]);
            (&raw mut (*ctx).user_ip6[1]).write_volatile(words[1]);
            (&raw mut (*ctx).user_ip6[2]).write_volatile(words[2]);
            (&raw mut (*ctx).user_ip6[3]).write_volatile(words[3]);
        }
        (&raw mut (*ctx).user_port).write_volatile(u32::from(to.port_be));
    }
}

/// Shows the Service.
#[inline(always)]
pub fn show<const V4: bool>(ctx: &SockAddrContext, frontend: &FrontendKey) {
    lead::<V4>(ctx, &Backend::new(frontend.address, frontend.port_be));
}
