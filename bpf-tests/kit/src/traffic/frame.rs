//! Frames as they are, past the stack: what a hostile pod sends, and what really arrives on a device.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;

use crate::topology::Netns;

/// Sends a frame on a device of a namespace, Ethernet header included.
///
/// # Errors
/// The kernel's.
pub fn send(netns: &Netns, device: &str, frame: &[u8]) -> Result<()> {
    netns
        .enter(|| Packets::on(device)?.send(frame))?
        .with_context(|| format!("a frame on {device} of {}", netns.name()))
}

/// Sends frames one after the other; those that the kernel refuses, such as too short ones, are left out. How many it took.
///
/// # Errors
/// Where the device cannot be sent on.
pub fn send_all(netns: &Netns, device: &str, frames: &[Vec<u8>]) -> Result<usize> {
    let packets = netns.enter(|| Packets::on(device))?.with_context(|| format!("{device} of {}", netns.name()))?;
    Ok(frames.iter().filter(|frame| packets.send(frame).is_ok()).count())
}

/// Runs `work`, and gives every frame that arrived on a device of a namespace meanwhile and shortly after.
///
/// # Errors
/// The kernel's, and those of `work`.
pub fn receive(netns: &Netns, device: &str, work: impl FnOnce() -> Result<()>) -> Result<Vec<Vec<u8>>> {
    let packets = netns.enter(|| Packets::on(device))?.with_context(|| format!("{device} of {}", netns.name()))?;
    work()?;
    let (start, mut frames) = (Instant::now(), Vec::new());
    while start.elapsed() < Duration::from_millis(200) {
        frames.extend(packets.receive()?);
    }
    Ok(frames)
}

/// `AF_PACKET` as an address holds it.
#[expect(clippy::cast_possible_truncation, reason = "17")]
const FAMILY: u16 = libc::AF_PACKET as u16;

/// Every ethertype, in network byte order.
#[expect(clippy::cast_possible_truncation, reason = "3")]
const EVERY: u16 = (libc::ETH_P_ALL as u16).to_be();

/// The length of a packet socket's address, in bytes.
#[expect(clippy::cast_possible_truncation, reason = "20")]
const LENGTH: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

/// A packet socket on one device.
pub(super) struct Packets(OwnedFd);

impl Packets {
    pub(super) fn on(device: &str) -> io::Result<Self> {
        // SAFETY: a system call without pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, EVERY.into()) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel gave this descriptor, and nothing else owns it.
        let socket = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        // SAFETY: all-zero is a value of this struct of integers.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = FAMILY;
        address.sll_protocol = EVERY;
        address.sll_ifindex = if_nametoindex(device)?.cast_signed();
        // SAFETY: the address outlives the call, and its length is given.
        let bound = unsafe { libc::bind(socket.0.as_raw_fd(), (&raw const address).cast(), LENGTH) };
        if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }

    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the frame outlives the call, and its length is given.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// A frame that came in, if one is there within ten milliseconds.
    fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut poll = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which outlives the call.
        if unsafe { libc::poll(&raw mut poll, 1, 10) } <= 0 {
            return Ok(None);
        }
        let mut frame = vec![0; 65_536];
        // SAFETY: all-zero is a value of this struct of integers.
        let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut length = LENGTH;
        // SAFETY: buffer and address outlive the call, and their lengths are given.
        let received = unsafe {
            libc::recvfrom(
                self.0.as_raw_fd(),
                frame.as_mut_ptr().cast(),
                frame.len(),
                libc::MSG_DONTWAIT,
                (&raw mut from).cast(),
                &raw mut length,
            )
        };
        frame.truncate(usize::try_from(received).map_err(|_| io::Error::last_os_error())?);
        Ok((from.sll_pkttype != libc::PACKET_OUTGOING).then_some(frame))
    }
}
