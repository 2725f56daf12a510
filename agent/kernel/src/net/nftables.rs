//! Whether nf_tables has a table or a chain of a name. The messages are `nfnetlink`'s (linux/netfilter/nf_tables.h).

use std::{io, os::fd::AsRawFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

const NFTABLES: u16 = 10 << 8;
const GET_TABLE: u16 = NFTABLES | 1;
const GET_CHAIN: u16 = NFTABLES | 4;
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
/// `NFTA_TABLE_NAME`, and `NFTA_CHAIN_TABLE`.
const TABLE: u16 = 1;
/// `NFTA_CHAIN_NAME`.
const CHAIN: u16 = 3;

/// `NFPROTO_IPV4` and `NFPROTO_IPV6`.
pub const FAMILIES: [u8; 2] = [2, 10];

/// Whether the table is there.
///
/// # Errors
/// The kernel's, except that there is none.
pub fn has_table(family: u8, table: &str) -> io::Result<bool> {
    asks(GET_TABLE, family, &[(TABLE, table)])
}

/// Whether the chain is there.
///
/// # Errors
/// The kernel's, except that there is none.
pub fn has_chain(family: u8, table: &str, chain: &str) -> io::Result<bool> {
    asks(GET_CHAIN, family, &[(TABLE, table), (CHAIN, chain)])
}

fn asks(kind: u16, family: u8, names: &[(u16, &str)]) -> io::Result<bool> {
    let netfilter =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter);
    let netfilter = match netfilter {
        Ok(fd) => fd,
        Err(nix::errno::Errno::EPROTONOSUPPORT) => return Ok(false),
        Err(errno) => return Err(errno.into()),
    };
    let mut attributes = Vec::new();
    for (kind, name) in names {
        let length = u16::try_from(4 + name.len() + 1).map_err(io::Error::other)?;
        attributes.extend(length.to_ne_bytes());
        attributes.extend(kind.to_ne_bytes());
        attributes.extend(name.as_bytes());
        attributes.push(0);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    }
    let mut request = Vec::new();
    request.extend(u32::try_from(20 + attributes.len()).map_err(io::Error::other)?.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([family, 0, 0, 0]);
    request.extend(attributes);
    send(netfilter.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut answer = vec![0; 1 << 14];
    let length = recv(netfilter.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    let answer = &answer[..length];
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    if kind != Some(ERROR) {
        return Ok(kind.is_some());
    }
    let errno = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
    match errno.saturating_neg() {
        // No such table or chain; no such family of tables; no nf_tables.
        libc::ENOENT | libc::EAFNOSUPPORT | libc::EOPNOTSUPP | libc::EINVAL => Ok(false),
        0 => Ok(true),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}
