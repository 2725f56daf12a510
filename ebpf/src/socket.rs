//! Sockets that ask for a Service are led to a backend, and see the Service in the answers.
//!
//! ```text
//! connect ─▶ a backend; remembered under the socket ─▶ getpeername, recvmsg: the Service
//! sendmsg ─▶ the backend that this socket has for the Service, while it is there ─▶ recvmsg: the Service
//! close ──▶ forgotten
//! ```

use aya_ebpf::{
    EbpfContext,
    bindings::bpf_sock_addr,
    helpers::generated::{bpf_get_socket_cookie, bpf_set_retval},
    programs::{SockAddrContext, SockContext},
};
use ferrule_common::{
    Address,
    service::{ANSWER, Backend, CONNECTED, FrontendKey, PLACES, PROBES, PortWord, Socket, SocketKey},
    wire::protocol::{TCP, UDP},
};

use crate::{
    maps::{SET_RETVAL, SOCKETS},
    service::{self, Asked, halves},
};

/// The call goes on.
const GO: i32 = 1;
/// The call fails.
const REFUSE: i32 = 0;
/// `IPPROTO_MPTCP`, which no header carries.
const MPTCP: u32 = 262;

/// Of a socket that is connected to no Service and may have other places than the first.
const LOOSE: Socket =
    Socket { frontend: FrontendKey::port(Address::UNSPECIFIED, 0, 0), backend: Backend::NONE, set: 0, loose: 1 };

/// A socket connects.
#[inline(always)]
pub fn connect<const V4: bool>(ctx: &SockAddrContext) -> i32 {
    let Some(protocol) = protocol(ctx) else { return GO };
    let to = end::<V4>(ctx);
    let frontend = FrontendKey::port(to.address, to.port_be, protocol);
    let word = match service::ask(&frontend) {
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
    let Some((backend, set)) = service::pick(ctx, &frontend, word) else { return refuse() };
    let key = SocketKey { cookie: cookie(ctx), backend: Backend::NONE, place: CONNECTED };
    let loose = if protocol == UDP { is_loose(&key).into() } else { 0 };
    // Where there is no room the socket sees the backend in the Service's place, and works.
    let _ = SOCKETS.insert(&key, &Socket { frontend, backend, set, loose }, 0);
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
    let word = match service::ask(&frontend) {
        Asked::Nothing => return GO,
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
    {
        show::<V4>(ctx, &answer.frontend);
    }
    GO
}

/// A socket is told what it is connected to.
#[inline(always)]
pub fn getpeername<const V4: bool>(ctx: &SockAddrContext) -> i32 {
    let key = SocketKey { cookie: cookie(ctx), backend: Backend::NONE, place: CONNECTED };
    if let Some(connected) = find(&key)
        && connected.backend == end::<V4>(ctx)
    {
        show::<V4>(ctx, &connected.frontend);
    }
    GO
}

/// A socket is closed.
#[inline(always)]
pub fn release(ctx: &SockContext) -> i32 {
    // SAFETY: the context is this program's own.
    let cookie = halves(unsafe { bpf_get_socket_cookie(ctx.as_ptr()) });
    let key = SocketKey { cookie, backend: Backend::NONE, place: CONNECTED };
    let Some(connected) = find(&key) else { return GO };
    if connected.loose != 0 {
        for place in 1..=PLACES {
            let key = SocketKey { cookie, backend: Backend::NONE, place };
            if let Some(known) = find(&key) {
                forget(&SocketKey { cookie, backend: known.backend, place: ANSWER });
                forget(&key);
            }
        }
    }
    forget(&key);
    GO
}

/// The backend that a socket which is not connected has for a frontend: the same as long as it is there, as a connected
/// one has.
#[inline(always)]
fn backend_of(ctx: &SockAddrContext, frontend: &FrontendKey, word: PortWord) -> Option<Backend> {
    let cookie = cookie(ctx);
    let (place, known) = place(cookie, frontend);
    // SAFETY: as in `find`.
    if let Some(known) = known.map(|known| unsafe { &mut *known })
        && known.frontend == *frontend
        && word.count() != 0
    {
        if known.set == word.set() {
            return Some(known.backend);
        }
        if service::has(word.set(), &known.backend) {
            known.set = word.set();
            return Some(known.backend);
        }
    }
    let (backend, set) = service::pick(ctx, frontend, word)?;
    let connected = SocketKey { cookie, backend: Backend::NONE, place: CONNECTED };
    if !is_loose(&connected) {
        loosen(&connected);
    }
    if let Some(known) = known {
        // SAFETY: as in `find`.
        let backend = unsafe { (*known).backend };
        forget(&SocketKey { cookie, backend, place: ANSWER });
    }
    let socket = Socket { frontend: *frontend, backend, set, loose: 0 };
    let _ = SOCKETS.insert(&SocketKey { cookie, backend: Backend::NONE, place }, &socket, 0);
    let _ = SOCKETS.insert(&SocketKey { cookie, backend, place: ANSWER }, &socket, 0);
    Some(backend)
}

/// The place that a socket has for a frontend, with what stands there: the frontend itself, or nothing, or what makes room.
/// A pointer, since the verifier wants every part of a copy written on every path.
#[inline(always)]
fn place(cookie: [u32; 2], frontend: &FrontendKey) -> (u32, Option<*mut Socket>) {
    let words = frontend.address.words();
    let first = words[3] ^ words[2] ^ u32::from(frontend.port_be);
    let first = first ^ first >> 16;
    let first = first ^ first >> 8;
    let mut free = 0;
    for probe in 0..PROBES {
        let place = 1 + (first + probe) % PLACES;
        let known = SOCKETS.get_ptr_mut(&SocketKey { cookie, backend: Backend::NONE, place });
        match known {
            // SAFETY: as in `find`.
            Some(known) if unsafe { (*known).frontend == *frontend } => return (place, Some(known)),
            None if free == 0 => free = place,
            _ => {}
        }
    }
    if free != 0 {
        return (free, None);
    }
    let place = 1 + first % PLACES;
    (place, SOCKETS.get_ptr_mut(&SocketKey { cookie, backend: Backend::NONE, place }))
}

/// Whether the socket may have other places than the first.
#[inline(always)]
fn is_loose(key: &SocketKey) -> bool {
    find(key).is_some_and(|connected| connected.loose != 0)
}

/// A socket is connected to no Service any more; of one that has other places the first says so still.
#[inline(always)]
fn part(ctx: &SockAddrContext) {
    let key = SocketKey { cookie: cookie(ctx), backend: Backend::NONE, place: CONNECTED };
    if is_loose(&key) {
        let _ = SOCKETS.insert(&key, &LOOSE, 0);
    } else {
        forget(&key);
    }
}

/// Notes that the socket may have other places than the first.
#[inline(always)]
fn loosen(key: &SocketKey) {
    if let Some(connected) = SOCKETS.get_ptr_mut(key) {
        // SAFETY: a value of the map, of which one field is written.
        unsafe { (*connected).loose = 1 };
        return;
    }
    let _ = SOCKETS.insert(key, &LOOSE, 0);
}

#[inline(always)]
fn find(key: &SocketKey) -> Option<&'static Socket> {
    // SAFETY: a socket's entries are written by its own calls; of two at once, each writes what is right for it.
    SOCKETS.get_ptr(key).map(|socket| unsafe { &*socket })
}

#[inline(always)]
fn forget(key: &SocketKey) {
    // What is not there is forgotten.
    let _ = SOCKETS.remove(key);
}

/// The error that a client gets where nobody listens, as far as the kernel lets a program choose it.
#[inline(always)]
fn refuse() -> i32 {
    const CONNECTION_REFUSED: i32 = -111;
    if SET_RETVAL.load() != 0 {
        // SAFETY: takes a number.
        unsafe { bpf_set_retval(CONNECTION_REFUSED) };
    }
    REFUSE
}

/// The protocol that a Service's port may have.
#[inline(always)]
fn protocol(ctx: &SockAddrContext) -> Option<u8> {
    // SAFETY: the context pointer is valid while the program runs.
    match unsafe { (&raw const (*ctx.sock_addr).protocol).read_volatile() } {
        protocol if protocol == u32::from(TCP) || protocol == MPTCP => Some(TCP),
        protocol if protocol == u32::from(UDP) => Some(UDP),
        _ => None,
    }
}

#[inline(always)]
fn cookie(ctx: &SockAddrContext) -> [u32; 2] {
    // SAFETY: the context is this program's own.
    halves(unsafe { bpf_get_socket_cookie(ctx.as_ptr()) })
}

/// The address that the call is about. Word by word, as the verifier wants a context read.
#[inline(always)]
fn end<const V4: bool>(ctx: &SockAddrContext) -> Backend {
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
fn lead<const V4: bool>(ctx: &SockAddrContext, to: &Backend) {
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
fn show<const V4: bool>(ctx: &SockAddrContext, frontend: &FrontendKey) {
    lead::<V4>(ctx, &Backend::new(frontend.address, frontend.port_be));
}
