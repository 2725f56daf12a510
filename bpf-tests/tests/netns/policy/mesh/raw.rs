//! Packets without a protocol of the kernel's: SCTP, and echo.

use std::{
    io,
    net::UdpSocket,
    os::fd::{FromRawFd, OwnedFd},
};

/// A raw socket of the calling thread's namespace. It sends and receives as one of datagrams does.
pub fn socket(v4: bool, protocol: i32) -> io::Result<UdpSocket> {
    let family = if v4 { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel gave this descriptor, and nothing else owns it.
    Ok(UdpSocket::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// What an IP packet holds; IPv6's header is not given.
pub fn payload(packet: &[u8], v4: bool) -> Option<&[u8]> {
    if v4 { packet.get(usize::from(packet.first()? & 15) * 4..) } else { Some(packet) }
}

/// An INIT, or an INIT ACK, with a number as its tag (RFC 9260 section 3.3.2).
pub fn sctp(from: u16, to: u16, answer: bool, number: u32) -> Vec<u8> {
    let mut packet = [from.to_be_bytes(), to.to_be_bytes()].concat();
    packet.extend([0; 8]);
    packet.extend([1 + u8::from(answer), 0, 0, 20]);
    packet.extend(number.to_be_bytes());
    packet.extend([0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    packet
}

/// Of an INIT or an INIT ACK: from, to, whether it answers, the tag.
pub fn read_sctp(packet: &[u8]) -> Option<(u16, u16, bool, u32)> {
    let port = |at: usize| Some(u16::from_be_bytes(packet.get(at..at + 2)?.try_into().ok()?));
    let number = u32::from_be_bytes(packet.get(16..20)?.try_into().ok()?);
    Some((port(0)?, port(2)?, packet[12] == 2, number))
}

/// An echo request with a number.
pub fn echo(v4: bool, identifier: u16, number: u32) -> Vec<u8> {
    let mut packet = vec![if v4 { 8 } else { 128 }, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(number.to_be_bytes());
    if v4 {
        let words = packet.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
        let sum: u32 = words.sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
        packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

/// Of an echo's answer: identifier and number.
pub fn read_echo(packet: &[u8], v4: bool) -> Option<(u16, u32)> {
    let answers = *packet.first()? == if v4 { 0 } else { 129 };
    let identifier = u16::from_be_bytes(packet.get(4..6)?.try_into().ok()?);
    let number = u32::from_be_bytes(packet.get(8..12)?.try_into().ok()?);
    answers.then_some((identifier, number))
}
