//! What sockets of UDP asked Services for, and what backends were asked last.
//!
//! A backend's datagrams bear no trace of what was asked. So a socket gets another backend for each Service where there is
//! one, and where there is none, an answer is to what was sent last.

use aya_ebpf::{EbpfContext, helpers::generated::bpf_get_socket_cookie, programs::SockAddrContext};
use ferrule_common::{
    owner::NOBODY,
    service::{ANSWER, Backend, CONNECTED, FrontendKey, PLACES, PortWord, Socket, SocketKey},
};

use crate::{
    maps::SOCKETS,
    service::{
        choose,
        cookie::halves,
        share,
        share::{Of, Payer},
    },
};

/// `BPF_NOEXIST`.
pub const NEW: u64 = 1;
/// `BPF_EXIST`.
pub const THERE: u64 = 2;

/// The backend that a socket which is not connected has for a frontend: the same as long as it is there, as a connected
/// one has.
#[inline(always)]
pub fn backend_of(ctx: &SockAddrContext, frontend: &FrontendKey, word: PortWord) -> Option<Backend> {
    let cookie = cookie(ctx);
    let (place, known) = place(cookie, frontend);
    // SAFETY: as in `find`.
    if let Some(known) = known.map(|known| unsafe { &mut *known })
        && known.frontend == *frontend
        && word.count() != 0
    {
        let stays = known.set == word.set() || choose::has(word.set(), &known.backend);
        if stays {
            known.set = word.set();
            note(ctx, cookie, frontend, known.backend);
            return Some(known.backend);
        }
    }
    let taken = |backend: &Backend| {
        find(&SocketKey { cookie, backend: *backend, place: ANSWER }).is_some_and(|answer| answer.frontend != *frontend)
    };
    let (backend, set) = choose::pick(ctx, frontend, word, taken)?;
    if !loosen(ctx) {
        return Some(backend);
    }
    if let Some(known) = known {
        // SAFETY: as in `find`.
        let (backend, asked) = unsafe { ((*known).backend, (*known).frontend) };
        let key = SocketKey { cookie, backend, place: ANSWER };
        // An answer to what another place asked stays.
        if find(&key).is_some_and(|answer| answer.frontend == asked || answer.frontend == FrontendKey::NONE) {
            forget(&key);
        }
    }
    let socket = Socket { frontend: *frontend, backend, set, loose: 0, owner: NOBODY };
    // A place without its answer shows nothing, and an answer without its place would be nobody's.
    if remember(ctx, &SocketKey { cookie, backend: Backend::NONE, place }, socket, 2) {
        note(ctx, cookie, frontend, backend);
    }
    Some(backend)
}

/// Notes what a backend was asked for last.
#[inline(always)]
fn note(ctx: &SockAddrContext, cookie: [u32; 2], frontend: &FrontendKey, backend: Backend) {
    let key = SocketKey { cookie, backend, place: ANSWER };
    if find(&key).is_none_or(|answer| answer.frontend != *frontend) {
        remember(ctx, &key, Socket { frontend: *frontend, backend, set: 0, loose: 0, owner: NOBODY }, 1);
    }
}

/// What a backend says from now on is to what it was asked itself.
#[inline(always)]
pub fn ask_directly(ctx: &SockAddrContext, backend: &Backend) {
    let key = SocketKey { cookie: cookie(ctx), backend: *backend, place: ANSWER };
    let Some(answer) = find(&key) else { return };
    if answer.frontend != FrontendKey::NONE {
        let direct = Socket { frontend: FrontendKey::NONE, backend: *backend, set: 0, loose: 0, owner: answer.owner };
        let _ = SOCKETS.insert(&key, &direct, THERE);
    }
}

/// The place that a socket has for a frontend, with what stands there: the frontend itself, or nothing, or what makes room.
/// A pointer, since the verifier wants every part of a copy written on every path.
#[inline(always)]
fn place(cookie: [u32; 2], frontend: &FrontendKey) -> (u32, Option<*mut Socket>) {
    let words = frontend.address.words();
    let first = words[3] ^ words[2] ^ u32::from(frontend.port_be);
    let first = first ^ first >> 16;
    let first = first ^ first >> 8;
    for probe in 0..PLACES {
        let place = 1 + (first + probe) % PLACES;
        let known = SOCKETS.get_ptr_mut(&SocketKey { cookie, backend: Backend::NONE, place });
        match known {
            // SAFETY: as in `find`.
            Some(known) if unsafe { (*known).frontend == *frontend } => return (place, Some(known)),
            // Places go with their socket only: behind one that is free there is none.
            None => return (place, None),
            Some(_) => {}
        }
    }
    let place = 1 + first % PLACES;
    (place, SOCKETS.get_ptr_mut(&SocketKey { cookie, backend: Backend::NONE, place }))
}

/// A socket is connected to no Service any more; of one that has other places the first says so still.
#[inline(always)]
pub fn part(ctx: &SockAddrContext) {
    let key = connected(ctx);
    match find(&key) {
        Some(known) if known.loose != 0 => _ = SOCKETS.insert(&key, &loose(known.owner), THERE),
        Some(_) => forget(&key),
        None => {}
    }
}

/// Of a socket that is connected to no Service and may have other places than the first.
#[inline(always)]
const fn loose(owner: [u32; 2]) -> Socket {
    Socket { frontend: FrontendKey::NONE, backend: Backend::NONE, set: 0, loose: 1, owner }
}

/// Notes that the socket may have other places than the first; whether that could be.
#[inline(always)]
fn loosen(ctx: &SockAddrContext) -> bool {
    let key = connected(ctx);
    if let Some(connected) = SOCKETS.get_ptr_mut(&key) {
        // SAFETY: a value of the map, of which one field is written.
        unsafe { (*connected).loose = 1 };
        return true;
    }
    // With a place and an answer, or none of the three.
    remember(ctx, &key, loose(NOBODY), 3)
}

/// Writes a socket's entry, which may be there already; whether there was room for it and as many as belong to it.
#[inline(always)]
pub fn remember(ctx: &SockAddrContext, key: &SocketKey, mut socket: Socket, together: u32) -> bool {
    if let Some(known) = find(key) {
        // What other places there are does not change.
        (socket.owner, socket.loose) = (known.owner, known.loose | socket.loose);
        return SOCKETS.insert(key, &socket, THERE).is_ok();
    }
    let Some(payer) = Payer::of(ctx.as_ptr(), Of::Sockets, together) else { return false };
    socket.owner = payer.owner;
    let written = SOCKETS.insert(key, &socket, NEW).is_ok();
    if written {
        payer.pay(Of::Sockets);
    }
    written
}

/// A socket's entry.
#[inline(always)]
pub fn find(key: &SocketKey) -> Option<&'static Socket> {
    // SAFETY: a socket's entries are written by its own calls; of two at once, each writes what is right for it.
    SOCKETS.get_ptr(key).map(|socket| unsafe { &*socket })
}

#[inline(always)]
fn forget(key: &SocketKey) {
    let Some(socket) = find(key) else { return };
    let owner = socket.owner;
    // Of several that try, one succeeds.
    if SOCKETS.remove(key).is_ok() {
        share::refund(owner, Of::Sockets, 1);
    }
}

/// A socket is closed: nothing of it stays. Each entry is refunded by itself: a sum would be another state for the verifier
/// of Linux 5.10 by each entry that is or is not there.
#[inline(always)]
pub fn leave(cookie: [u32; 2]) {
    let key = SocketKey { cookie, backend: Backend::NONE, place: CONNECTED };
    let Some(connected) = find(&key) else { return };
    let places = connected.loose != 0;
    forget(&key);
    if !places {
        return;
    }
    for place in 1..=PLACES {
        let key = SocketKey { cookie, backend: Backend::NONE, place };
        if let Some(known) = find(&key) {
            let answer = SocketKey { cookie, backend: known.backend, place: ANSWER };
            forget(&answer);
            forget(&key);
        }
    }
}

/// The key of what a socket is connected to.
#[inline(always)]
pub fn connected(ctx: &SockAddrContext) -> SocketKey {
    SocketKey { cookie: cookie(ctx), backend: Backend::NONE, place: CONNECTED }
}

/// A socket's cookie.
#[inline(always)]
pub fn cookie(ctx: &SockAddrContext) -> [u32; 2] {
    // SAFETY: the context is this program's own.
    halves(unsafe { bpf_get_socket_cookie(ctx.as_ptr()) })
}
