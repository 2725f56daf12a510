//! Who answers an echo request, of many who are asked at once.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

/// How long all of them together have.
const LIMIT: Duration = Duration::from_secs(1);
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// Whom to ask, and from which address, where that is not the kernel's choice.
pub type Way = (Option<IpAddr>, IpAddr);

/// Those of `ways` whose end answers within a second.
///
/// # Errors
/// Where the host lets nobody ping (`net.ipv4.ping_group_range`) and raw sockets cannot be had.
pub fn all(ways: &[Way]) -> io::Result<HashSet<IpAddr>> {
    let mut by_source: BTreeMap<(bool, Option<IpAddr>), HashSet<IpAddr>> = BTreeMap::new();
    for (source, to) in ways {
        by_source.entry((to.is_ipv4(), *source)).or_default().insert(*to);
    }
    let mut answered = HashSet::new();
    for ((v4, source), asked) in &by_source {
        answered.extend(from(*source, asked, *v4)?);
    }
    Ok(answered)
}

fn from(source: Option<IpAddr>, asked: &HashSet<IpAddr>, v4: bool) -> io::Result<HashSet<IpAddr>> {
    let mut answered = HashSet::new();
    let (domain, protocol) = if v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let (socket, kind) = open(domain, protocol)?;
    // From an address that the node has lost nobody answers.
    if let Some(source) = source
        && socket.bind(&SocketAddr::new(source, 0).into()).is_err()
    {
        return Ok(answered);
    }
    let id = std::process::id().to_be_bytes();
    let request = request(v4, [id[2], id[3]]);
    for address in asked {
        // One without a route does not answer, either.
        let _ = socket.send_to(&request, &SocketAddr::new(*address, 0).into());
    }
    let deadline = Instant::now() + LIMIT;
    while answered.len() < asked.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        let mut buffer = [MaybeUninit::uninit(); 256];
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { break };
        let from = from.as_socket().map(|from| from.ip());
        // SAFETY: the kernel filled that much.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), length) };
        if let Some(from) = from.filter(|from| asked.contains(from) && is_reply(v4, kind, bytes, [id[2], id[3]])) {
            answered.insert(from);
        }
    }
    Ok(answered)
}

/// A socket for echoes alone, which needs no capability where the host allows them, or a raw one.
fn open(domain: Domain, protocol: Protocol) -> io::Result<(Socket, Kind)> {
    match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => Ok((socket, Kind::Echo)),
        Err(_) => Ok((Socket::new(domain, Type::RAW, Some(protocol))?, Kind::Raw)),
    }
}

/// What a socket gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Echo replies to its own requests, whose identifier the kernel chose.
    Echo,
    /// All that arrives, behind the IP header where it is IPv4.
    Raw,
}

fn request(v4: bool, id: [u8; 2]) -> [u8; 8] {
    let kind = if v4 { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
    let mut request = [kind, 0, 0, 0, id[0], id[1], 0, 1];
    if v4 {
        // RFC 792; for ICMPv6 the kernel computes it.
        let sum: u32 = request.chunks(2).map(|half| u32::from(u16::from_be_bytes([half[0], half[1]]))).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from(folded & 0xffff).unwrap_or_default();
        request[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    request
}

fn is_reply(v4: bool, kind: Kind, bytes: &[u8], id: [u8; 2]) -> bool {
    let start = if v4 && kind == Kind::Raw { usize::from(bytes.first().unwrap_or(&0) & 0xf) * 4 } else { 0 };
    let reply = if v4 { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 };
    bytes.get(start..start + 6).is_some_and(|icmp| icmp[0] == reply && (kind == Kind::Echo || icmp[4..6] == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_a_right_checksum_and_its_reply_is_known() {
        let request = request(true, [0xab, 0xcd]);
        let sum: u32 = request.chunks(2).map(|half| u32::from(u16::from_be_bytes([half[0], half[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
        let mut reply = vec![0x45; 20];
        reply.extend([ECHO_REPLY_V4, 0, 0, 0, 0xab, 0xcd, 0, 1]);
        assert!(is_reply(true, Kind::Raw, &reply, [0xab, 0xcd]));
        assert!(!is_reply(true, Kind::Raw, &reply, [0xab, 0xce]));
        assert!(!is_reply(true, Kind::Raw, &reply[..22], [0xab, 0xcd]));
        assert!(is_reply(true, Kind::Echo, &reply[20..], [0, 0]), "the kernel knows whose it is");
        assert!(!is_reply(true, Kind::Echo, &request, [0, 0]));
        assert!(is_reply(false, Kind::Raw, &[ECHO_REPLY_V6, 0, 0, 0, 1, 2], [1, 2]));
        assert!(!is_reply(false, Kind::Raw, &[], [1, 2]));
    }
}
