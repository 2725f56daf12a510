//! The host's own firewall, as far as it may drop what Ferrule leaves to the stack: base chains of nf_tables whose policy
//! is drop. Rules are not read: what one of them accepts is not known here.

use std::{io, os::fd::AsRawFd};

use netlink_packet_core::{DefaultNla, Nla, NlasIterator, Parseable};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// `NFNL_SUBSYS_NFTABLES`, the upper byte of a message's type.
const NFTABLES: u16 = 10 << 8;
const GET_CHAIN: u16 = NFTABLES | 4;
const NEW_CHAIN: u16 = NFTABLES | 3;
const DONE: u16 = 3;
const ERROR: u16 = 2;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x301;
/// Attributes of a chain (`NFTA_CHAIN_…`) and of its hook (`NFTA_HOOK_HOOKNUM`).
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const HOOK_NUMBER: u16 = 1;
const HEADER: usize = 16;
/// Family, version and resource id.
const GENERIC: usize = 4;

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// What is for the node itself: tunnel packets.
    Input,
    /// What the node forwards: pods' packets that take the stack.
    Forward,
    /// What the node sends: tunnel packets, and its own to pods.
    Output,
}

/// A base chain whose policy is drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropping {
    /// `ip`, `ip6` or `inet`.
    pub family: &'static str,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// Where it hangs.
    pub hook: Hook,
}

/// The base chains of this network namespace that drop what no rule accepts. A kernel without nf_tables has none.
///
/// # Errors
/// The kernel's.
pub fn dropping_chains() -> io::Result<Vec<Dropping>> {
    let netfilter =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter);
    let netfilter = match netfilter {
        Ok(fd) => fd,
        Err(nix::errno::Errno::EPROTONOSUPPORT) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let mut request = Vec::new();
    request.extend(u32::try_from(HEADER + GENERIC).unwrap_or_default().to_ne_bytes());
    request.extend(GET_CHAIN.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    request.extend([0; 8 + GENERIC]);
    send(netfilter.as_raw_fd(), &request, MsgFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = recv(netfilter.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, after)) = message(rest) {
            match kind {
                NEW_CHAIN => found.extend(chain(body)),
                DONE => return Ok(found),
                ERROR => return refusal(body).map_or(Ok(found), Err),
                _ => {}
            }
            rest = after;
        }
    }
}

/// What the kernel complains about; nothing where it only lacks nf_tables.
fn refusal(body: &[u8]) -> Option<io::Error> {
    let errno = i32::from_ne_bytes(body.get(..4)?.try_into().ok()?).saturating_neg();
    (![0, libc::EINVAL, libc::EOPNOTSUPP].contains(&errno)).then(|| io::Error::from_raw_os_error(errno))
}

/// A message's type and body, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn chain(body: &[u8]) -> Option<Dropping> {
    let family = match body.first()? {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let attributes = attributes(body.get(GENERIC..)?);
    let hook = match number(attributes.iter().find(|(kind, _)| *kind == HOOK).and_then(|(_, value)| {
        let nested = self::attributes(value);
        nested.into_iter().find(|(kind, _)| *kind == HOOK_NUMBER).map(|(_, value)| value)
    })?)? {
        1 => Hook::Input,
        2 => Hook::Forward,
        3 => Hook::Output,
        _ => return None,
    };
    let value = |wanted| attributes.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value.clone());
    // NF_DROP is 0, NF_ACCEPT 1.
    (number(value(POLICY)?)? == 0).then_some(())?;
    Some(Dropping { family, table: text(value(TABLE)?), chain: text(value(NAME)?), hook })
}

fn attributes(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let read = |nla: &DefaultNla| {
        let mut value = vec![0; nla.value_len()];
        nla.emit_value(&mut value);
        (nla.kind(), value)
    };
    let all = NlasIterator::new(bytes).filter_map(Result::ok);
    all.filter_map(|buffer| DefaultNla::parse(&buffer).ok()).map(|nla| read(&nla)).collect()
}

/// Network byte order.
fn number(value: Vec<u8>) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

fn text(value: Vec<u8>) -> String {
    String::from_utf8_lossy(&value).trim_end_matches('\0').to_owned()
}
