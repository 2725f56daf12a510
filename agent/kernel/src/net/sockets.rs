//! UDP sockets that are ended from outside, and TCP sockets that are listed: `sock_diag` (linux/inet_diag.h), in a network
//! namespace.

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::AsRawFd,
};

use ferrule_netlink::netns::Netns;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

const BY_FAMILY: u16 = 20;
const DESTROY: u16 = 21;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const TCP: u8 = 6;
const UDP: u8 = 17;
const HEADER: usize = 16;
/// `struct inet_diag_sockid`.
const ID: usize = 48;
/// Where the peer's address stands in it.
const PEER: usize = 20;
/// Where the cookie stands in it.
const COOKIE: usize = 40;
/// Where it stands in `struct inet_diag_msg`, and in a request behind family, protocol, extensions and states.
const MESSAGE_ID: usize = 4;

/// Ends the UDP sockets of the calling thread's network namespace that have one of these cookies and are connected to what
/// stands beside it; which. Their owners' next call fails with `ECONNABORTED`; then they are connected to nobody, so that a
/// send without an address fails with `EDESTADDRREQ`.
///
/// # Errors
/// The kernel's; `EOPNOTSUPP` where it cannot (`CONFIG_INET_DIAG_DESTROY`).
pub fn end(wanted: &HashMap<[u32; 2], SocketAddr>) -> io::Result<HashSet<[u32; 2]>> {
    let diag = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    let ports: HashSet<u16> = wanted.values().map(SocketAddr::port).collect();
    // Of several ports all sockets are listed once: the kernel looks at every one of them for each listing.
    let port = if ports.len() == 1 { ports.into_iter().next().unwrap_or_default() } else { 0 };
    let mut ended = HashSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = u8::try_from(family).map_err(io::Error::other)?;
        for id in list(diag.as_raw_fd(), UDP, family, port)? {
            let cookie = cookie(&id);
            if wanted.get(&cookie).is_some_and(|peer| *peer == self::peer(&id, family))
                && destroy(diag.as_raw_fd(), family, &id)?
            {
                ended.insert(cookie);
            }
        }
    }
    Ok(ended)
}

/// Whether the kernel ends sockets from outside: it is asked for one that nobody has.
///
/// # Errors
/// The kernel's.
pub fn can_end() -> io::Result<bool> {
    let diag = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag);
    let diag = match diag {
        Ok(diag) => diag,
        Err(nix::errno::Errno::EPROTONOSUPPORT) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    let family = u8::try_from(libc::AF_INET).map_err(io::Error::other)?;
    match destroy(diag.as_raw_fd(), family, &[0; ID]) {
        // Whether it was there or not: the kernel looked.
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The cookies of all TCP sockets of the network namespace at a path, else of the calling thread's.
///
/// # Errors
/// The kernel's.
pub fn streams(netns: Option<&str>) -> io::Result<HashSet<[u32; 2]>> {
    match netns {
        None => own_streams(),
        Some(path) => Netns::open(path).and_then(|netns| netns.run(own_streams)).map_err(io::Error::other)?,
    }
}

fn own_streams() -> io::Result<HashSet<[u32; 2]>> {
    let diag = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    let mut found = HashSet::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        let family = u8::try_from(family).map_err(io::Error::other)?;
        found.extend(list(diag.as_raw_fd(), TCP, family, 0)?.iter().map(cookie));
    }
    Ok(found)
}

/// The ids of sockets that are connected to a port; port 0 is any.
fn list(diag: i32, protocol: u8, family: u8, port: u16) -> io::Result<Vec<[u8; ID]>> {
    let mut id = [0; ID];
    id[2..4].copy_from_slice(&port.to_be_bytes());
    send(diag, &request(BY_FAMILY, REQUEST | DUMP, protocol, family, &id), MsgFlags::empty())?;
    let (mut found, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let length = recv(diag, &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                BY_FAMILY => {
                    let id: Option<[u8; ID]> = body.get(MESSAGE_ID..MESSAGE_ID + ID).and_then(|id| id.try_into().ok());
                    found.extend(id);
                }
                DONE => return Ok(found),
                ERROR => return outcome(body).map(|()| found),
                _ => {}
            }
            rest = after;
        }
    }
}

/// Ends one; false if it has gone meanwhile.
fn destroy(diag: i32, family: u8, id: &[u8; ID]) -> io::Result<bool> {
    send(diag, &request(DESTROY, REQUEST | ACK, UDP, family, id), MsgFlags::empty())?;
    let mut buffer = vec![0; 1 << 13];
    let length = recv(diag, &mut buffer, MsgFlags::empty())?;
    match message(&buffer[..length]) {
        Some((ERROR, body, _)) => match outcome(body) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESTALE)) => Ok(false),
            Err(error) => Err(error),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn request(kind: u16, flags: u16, protocol: u8, family: u8, id: &[u8; ID]) -> Vec<u8> {
    const EVERY_STATE: u32 = u32::MAX;
    let mut request = Vec::new();
    request.extend(u32::try_from(HEADER + 8 + ID).unwrap_or_default().to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([family, protocol, 0, 0]);
    request.extend(EVERY_STATE.to_ne_bytes());
    request.extend(id);
    request
}

fn cookie(id: &[u8; ID]) -> [u32; 2] {
    let half = |at: usize| u32::from_ne_bytes([id[at], id[at + 1], id[at + 2], id[at + 3]]);
    [half(COOKIE), half(COOKIE + 4)]
}

/// Whom a socket is connected to; IPv4 as such, also of sockets for both families.
fn peer(id: &[u8; ID], family: u8) -> SocketAddr {
    let port = u16::from_be_bytes([id[2], id[3]]);
    let mut address = [0; 16];
    address.copy_from_slice(&id[PEER..PEER + 16]);
    let ip = if i32::from(family) == libc::AF_INET {
        IpAddr::from([address[0], address[1], address[2], address[3]])
    } else {
        Ipv6Addr::from(address).to_canonical()
    };
    SocketAddr::new(ip, port)
}

fn outcome(body: &[u8]) -> io::Result<()> {
    let errno = body.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno.saturating_neg())) }
}

/// A message's type and body, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}
