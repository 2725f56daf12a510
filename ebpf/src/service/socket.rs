//! Sockets that ask for a Service are led to a backend, and see the Service in the answers.
//!
//! ```text
//! connect ─▶ a backend; remembered under the socket ─▶ getpeername, recvmsg: the Service
//! sendmsg ─▶ the backend that this socket has for the Service, while it is there ─▶ recvmsg: the Service
//! close ──▶ forgotten
//! ```

use aya_ebpf::{
    EbpfContext,
    helpers::generated::bpf_get_socket_cookie,
    programs::{SockAddrContext, SockContext},
};
use ferrule_common::{
    owner::NOBODY,
    service::{ANSWER, Backend, CONNECTED, FrontendKey, Socket, SocketKey},
    wire::protocol::UDP,
};

use crate::service::{
    call::{GO, MPTCP, end, is_of, lead, protocol, refuse, show},
    choose,
    choose::Asked,
    connected,
    cookie::halves,
    unconnected::{ask_directly, backend_of, connected, cookie, find, leave, part, remember},
};

/// A socket connects.
#[inline(always)]
pub fn connect<const V4: bool>(ctx: &SockAddrContext) -> i32 {
    let Some(protocol) = protocol(ctx) else { return GO };
    let to = end::<V4>(ctx);
    let frontend = FrontendKey::port(to.address, to.port_be, protocol);
    let word = match choose::ask(&frontend) {
        Asked::Nothing => {
            // Only a socket of UDP is connected again, so that others' calls cost nothing here.
            if protocol == UDP {
                part(ctx);
            }
            return GO;
        }
        Asked::Refused => return refuse(),
        Asked::Port(word) => word,
    };
    let Some((backend, set)) = choose::pick(ctx, &frontend, word, |_| false) else { return refuse() };
    let socket = Socket { frontend, backend, set, loose: 0, owner: NOBODY };
    // Where there is no room the socket sees the backend in the Service's place, and works.
    if protocol == UDP {
        remember(ctx, &connected(ctx), socket, 1);
    } else {
        connected::remember(ctx, socket);
    }
    lead::<V4>(ctx, &backend);
    GO
}

/// A socket sends without being connected, or past what it is connected to.
#[inline(always)]
pub fn sendmsg<const V4: bool>(ctx: &SockAddrContext) -> i32 {
    if protocol(ctx) != Some(UDP) {
        return GO;
    }
    let to = end::<V4>(ctx);
    let frontend = FrontendKey::port(to.address, to.port_be, UDP);
    let word = match choose::ask(&frontend) {
        Asked::Nothing => {
            ask_directly(ctx, &to);
            return GO;
        }
        Asked::Refused => return refuse(),
        Asked::Port(word) => word,
    };
    let Some(backend) = backend_of(ctx, &frontend, word) else { return refuse() };
    lead::<V4>(ctx, &backend);
    GO
}

/// A socket is told who sent a datagram.
#[inline(always)]
pub fn recvmsg<const V4: bool>(ctx: &SockAddrContext) -> i32 {
    if protocol(ctx) != Some(UDP) {
        return GO;
    }
    let cookie = cookie(ctx);
    let Some(connected) = find(&SocketKey { cookie, backend: Backend::NONE, place: CONNECTED }) else { return GO };
    let from = end::<V4>(ctx);
    if connected.backend == from {
        show::<V4>(ctx, &connected.frontend);
    } else if connected.loose != 0
        && let Some(answer) = find(&SocketKey { cookie, backend: from, place: ANSWER })
        && answer.frontend != FrontendKey::NONE
    {
        show::<V4>(ctx, &answer.frontend);
    }
    GO
}

/// A socket is told what it is connected to.
#[inline(always)]
pub fn getpeername<const V4: bool>(ctx: &SockAddrContext) -> i32 {
    let known = if is_of(ctx, UDP.into()) {
        find(&connected(ctx))
    } else if is_of(ctx, MPTCP) {
        connected::master_key(connected::socket(ctx.sock_addr)).and_then(|key| connected::find(&key))
    } else {
        connected::find(&connected(ctx))
    };
    if let Some(connected) = known
        && connected.backend == end::<V4>(ctx)
    {
        show::<V4>(ctx, &connected.frontend);
    }
    GO
}

/// A socket is closed.
#[inline(always)]
pub fn release(ctx: &SockContext) -> i32 {
    // SAFETY: the context is this program's own, and valid while it runs.
    let (protocol, cookie) =
        unsafe { ((&raw const (*ctx.sock).protocol).read_volatile(), halves(bpf_get_socket_cookie(ctx.as_ptr()))) };
    if protocol == u32::from(UDP) {
        leave(cookie);
    } else if protocol == MPTCP {
        // Of programs of this kind the socket is the context itself.
        if let Some(key) = connected::master_key(ctx.as_ptr()) {
            connected::leave(&key);
        }
    } else {
        connected::leave(&SocketKey { cookie, backend: Backend::NONE, place: CONNECTED });
    }
    GO
}
