//! Whether the node has IPsec policies, which the kernel's own devices heed and a program's redirect does not.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// `NLM_F_REQUEST`, and what asks for the counts of policies: `XFRM_MSG_GETSPDINFO`, answered by `XFRM_MSG_NEWSPDINFO`.
const REQUEST: u16 = 1;
const GET_COUNTS: u16 = 0x25;
const COUNTS: u16 = 0x24;
/// `XFRMA_SPD_INFO`: policies for what comes in, goes out, is forwarded; then the same of sockets' own.
const SUM: u16 = 1;

/// The header of a netlink message and the flags of this one, which ask for everything.
#[repr(C)]
struct Request {
    length: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    wanted: u32,
}

/// Whether there are any that are not a socket's own. A kernel without IPsec has none.
///
/// # Errors
/// The kernel's.
pub fn has_policies() -> io::Result<bool> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes integers.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_XFRM) };
    if socket < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) { Ok(false) } else { Err(error) };
    }
    // SAFETY: the call gave a descriptor that nothing else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let length = size_of::<Request>();
    let request = Request {
        length: u32::try_from(length).unwrap_or(u32::MAX),
        kind: GET_COUNTS,
        flags: REQUEST,
        sequence: 1,
        port: 0,
        wanted: u32::MAX,
    };
    // SAFETY: `request` outlives the call and has the length that is given.
    let sent = unsafe { libc::send(socket.as_raw_fd(), (&raw const request).cast(), length, 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = [0_u8; 512];
    // The kernel has answered before it returned from `send`: nobody is waited for.
    // SAFETY: `answer` outlives the call, which writes no more than its length.
    let read = unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), libc::MSG_DONTWAIT) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    counted(&answer[..read]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Whether the answer counts any.
fn counted(answer: &[u8]) -> Option<bool> {
    let half = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    if half(4)? != COUNTS {
        return None;
    }
    // Behind the header and the flags: attributes, each with its length, its kind and padding.
    let mut at = 20;
    loop {
        let (length, kind) = (half(at)?, half(at + 2)?);
        if kind == SUM {
            let counts = [word(at + 4)?, word(at + 8)?, word(at + 12)?];
            return Some(counts.iter().any(|count| *count != 0));
        }
        at += usize::from(length.max(4)).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(kind: u16, attributes: &[(u16, &[u32])]) -> Vec<u8> {
        let mut bytes = vec![0; 20];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        for (kind, words) in attributes {
            bytes.extend(u16::try_from(4 + 4 * words.len()).unwrap().to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        }
        bytes
    }

    #[test]
    fn policies_are_counted_whatever_stands_before() {
        let other: (u16, &[u32]) = (2, &[9, 9]);
        for (counts, expected) in [([0, 0, 0, 1, 1, 1], false), ([1, 0, 0, 0, 0, 0], true), ([0, 2, 0, 0, 0, 0], true)]
        {
            assert_eq!(counted(&answer(COUNTS, &[other, (SUM, &counts)])), Some(expected));
        }
    }

    #[test]
    fn what_does_not_count_is_no_answer() {
        assert_eq!(counted(&[]), None);
        assert_eq!(counted(&answer(COUNTS, &[(2, &[1])])), None);
        assert_eq!(counted(&answer(2, &[(SUM, &[1, 1, 1, 0, 0, 0])])), None);
    }
}
