//! Who answers an echo request, of many who are asked at once.

use std::{
    collections::HashSet,
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

/// Those of `addresses` that answer within a second.
///
/// # Errors
/// Where raw sockets cannot be had.
pub fn all(addresses: &[IpAddr]) -> io::Result<HashSet<IpAddr>> {
    let mut answered = family(addresses, true)?;
    answered.extend(family(addresses, false)?);
    Ok(answered)
}

fn family(addresses: &[IpAddr], v4: bool) -> io::Result<HashSet<IpAddr>> {
    let asked: HashSet<IpAddr> = addresses.iter().copied().filter(|address| address.is_ipv4() == v4).collect();
    let mut answered = HashSet::new();
    if asked.is_empty() {
        return Ok(answered);
    }
    let (domain, protocol) = if v4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    let id = std::process::id().to_be_bytes();
    let request = request(v4, [id[2], id[3]]);
    for address in &asked {
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
        if let Some(from) = from.filter(|from| asked.contains(from) && is_reply(v4, bytes, [id[2], id[3]])) {
            answered.insert(from);
        }
    }
    Ok(answered)
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

/// An IPv4 raw socket gives the IP header, too.
fn is_reply(v4: bool, bytes: &[u8], id: [u8; 2]) -> bool {
    let start = if v4 { usize::from(bytes.first().unwrap_or(&0) & 0xf) * 4 } else { 0 };
    let kind = if v4 { ECHO_REPLY_V4 } else { ECHO_REPLY_V6 };
    bytes.get(start..start + 6).is_some_and(|icmp| icmp[0] == kind && icmp[4..6] == id)
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
        assert!(is_reply(true, &reply, [0xab, 0xcd]));
        assert!(!is_reply(true, &reply, [0xab, 0xce]));
        assert!(!is_reply(true, &reply[..22], [0xab, 0xcd]));
        assert!(is_reply(false, &[ECHO_REPLY_V6, 0, 0, 0, 1, 2], [1, 2]));
        assert!(!is_reply(false, &[], [1, 2]));
    }
}
