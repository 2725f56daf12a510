//! Tables of iptables before nf_tables (`struct ipt_getinfo`, `struct ipt_get_entries`): whether one names a chain.

use std::{io, os::fd::AsRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// Of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// iptables.
    V4,
    /// ip6tables.
    V6,
}

/// `IPT_SO_GET_INFO`, `IP6T_SO_GET_INFO`.
const GET_INFO: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES`, `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: libc::c_int = 65;
/// Bytes of a table's name.
const NAME: usize = 32;
/// `struct ipt_getinfo`.
const INFO: usize = 84;
/// Where the entries begin in `struct ipt_get_entries`.
const HEAD: usize = 40;

/// Whether the table has a chain of this name, or a jump to one.
///
/// # Errors
/// The kernel's.
pub fn names(version: Version, table: &str, chain: &str) -> io::Result<bool> {
    let (family, level) = match version {
        Version::V4 => (AddressFamily::Inet, libc::SOL_IP),
        Version::V6 => (AddressFamily::Inet6, libc::SOL_IPV6),
    };
    // Any socket of the family may ask; a raw one, as iptables opens, would take CAP_NET_RAW beside CAP_NET_ADMIN.
    let asking = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, SockProtocol::Udp)?;
    // Between the two questions the table may grow: then it is asked again.
    for _ in 0..4 {
        let mut info = vec![0_u8; INFO];
        info[..table.len().min(NAME - 1)].copy_from_slice(&table.as_bytes()[..table.len().min(NAME - 1)]);
        ask(asking.as_raw_fd(), level, GET_INFO, &mut info)?;
        let size = u32::from_ne_bytes([info[80], info[81], info[82], info[83]]);
        let mut entries = vec![0_u8; HEAD + size as usize];
        entries[..NAME].copy_from_slice(&info[..NAME]);
        entries[NAME..NAME + 4].copy_from_slice(&size.to_ne_bytes());
        match ask(asking.as_raw_fd(), level, GET_ENTRIES, &mut entries) {
            Ok(()) => {
                // A user's chain begins with an entry that holds its name, zero-terminated.
                let wanted = [chain.as_bytes(), &[0]].concat();
                return Ok(entries[HEAD..].windows(wanted.len()).any(|window| window == wanted));
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn ask(socket: libc::c_int, level: libc::c_int, option: libc::c_int, buffer: &mut [u8]) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(buffer.len()).map_err(io::Error::other)?;
    // SAFETY: the buffer is as long as is said, and outlives the call.
    let result = unsafe { libc::getsockopt(socket, level, option, buffer.as_mut_ptr().cast(), &raw mut length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
