//! The cookie of a network namespace, by which programs know whose a socket is (`SO_NETNS_COOKIE`, Linux 5.14).

use std::{
    io,
    os::{fd::AsRawFd, unix::net::UnixDatagram},
};

use ferrule_netlink::netns::Netns;

/// That of the calling thread's namespace, low half first.
///
/// # Errors
/// The kernel's; `ENOPROTOOPT` where it does not tell.
pub fn own() -> io::Result<[u32; 2]> {
    let asking = UnixDatagram::unbound()?;
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).map_err(io::Error::other)?;
    let (socket, into) = (asking.as_raw_fd(), (&raw mut cookie).cast());
    // SAFETY: eight bytes are there for the eight that are said to be, and outlive the call.
    let result = unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, into, &raw mut length) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let [a, b, c, d, e, f, g, h] = cookie.to_le_bytes();
    Ok([u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])])
}

/// That of the namespace at a path.
///
/// # Errors
/// As of [`own`], and where there is no such namespace.
pub fn of(path: &str) -> io::Result<[u32; 2]> {
    Netns::open(path).and_then(|netns| netns.run(own)).map_err(io::Error::other)?
}

/// Whether the kernel tells.
#[must_use]
pub fn is_told() -> bool {
    own().is_ok()
}
