//! What sockets of TCP asked Services for, which only who asks for the peer's name needs.
//!
//! A socket of MPTCP connects by another one, which is the kernel's own and closes without a word: where the kernel tells to
//! which it belongs, that one's address is the key, as long as both are there. Nothing leaves the kernel: what is kept is its
//! distance to a map's.

use core::ffi::c_void;

use aya_ebpf::{EbpfContext, bindings::bpf_sock_addr, helpers::generated, programs::SockAddrContext};
use ferrule_common::service::{Backend, MASTER, Socket, SocketKey};

use crate::{
    maps::{MPTCP_TOLD, STREAMS, TOTALS},
    service::{
        cookie::halves,
        share,
        share::{Of, Payer},
        unconnected::{NEW, THERE, connected},
    },
};

/// A socket's entry.
#[inline(always)]
pub fn find(key: &SocketKey) -> Option<&'static Socket> {
    // SAFETY: a socket's entries are written by its own calls; of two at once, each writes what is right for it.
    STREAMS.get_ptr(key).map(|socket| unsafe { &*socket })
}

/// Writes what a socket that connects asked for.
#[inline(always)]
pub fn remember(ctx: &SockAddrContext, mut socket: Socket) {
    let key = connecting(ctx);
    // Most connect once: a look before would find nothing.
    if let Some(payer) = Payer::of(ctx.as_ptr(), Of::Streams, 1) {
        socket.owner = payer.owner;
        if STREAMS.insert(&key, &socket, NEW).is_ok() {
            return payer.pay(Of::Streams);
        }
    }
    if let Some(known) = find(&key) {
        socket.owner = known.owner;
        let _ = STREAMS.insert(&key, &socket, THERE);
    }
}

/// A socket is closed.
#[inline(always)]
pub fn leave(key: &SocketKey) {
    // Most are no clients of Services, and a look costs less than a removal.
    let Some(stream) = find(key) else { return };
    let owner = stream.owner;
    if STREAMS.remove(key).is_ok() {
        share::refund(owner, Of::Streams, 1);
    }
}

/// The key of the socket that a program is called for, which connects.
#[inline(always)]
fn connecting(ctx: &SockAddrContext) -> SocketKey {
    if MPTCP_TOLD.load() != 0 {
        // SAFETY: a socket that lives while the program runs; the helper asks whether it is of this kind.
        let master = unsafe { generated::bpf_skc_to_mptcp_sock(socket(ctx.sock_addr)) };
        if !master.is_null()
            && let Some(key) = master_key(master.cast())
        {
            return key;
        }
    }
    connected(ctx)
}

/// The key of a socket of MPTCP.
#[inline(always)]
pub fn master_key(socket: *mut c_void) -> Option<SocketKey> {
    let base = TOTALS.get_ptr_mut(0)? as u64;
    Some(SocketKey { cookie: halves((socket as u64).wrapping_sub(base)), backend: Backend::NONE, place: MASTER })
}

/// The socket that a program is called for.
#[inline(always)]
pub fn socket(ctx: *mut bpf_sock_addr) -> *mut c_void {
    // SAFETY: the context pointer is valid while the program runs.
    unsafe { (&raw const (*ctx).__bindgen_anon_1.sk).read_volatile() }.cast()
}
