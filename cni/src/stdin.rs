//! The configuration's way in. Most commands read to the end; VERSION must answer also where nobody closes, or ever
//! writes, its stdin.

use std::{
    io::{self, IsTerminal, Read},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// How long VERSION waits for what a caller may still be writing.
const BOUND: Duration = Duration::from_millis(300);

/// Reads to the end.
///
/// # Errors
/// Stdin cannot be read.
pub fn whole() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads what is there or comes within a short time: until the end, until `enough`, or until the time is over. A
/// terminal is not asked.
#[must_use]
pub fn prompt(enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Vec::new();
    }
    let until = Instant::now() + BOUND;
    let mut bytes = Vec::new();
    let mut chunk = [0; 64 * 1024];
    while !enough(&bytes) {
        let left = PollTimeout::try_from(until.saturating_duration_since(Instant::now())).unwrap_or(PollTimeout::ZERO);
        let mut ready = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, left) {
            Err(Errno::EINTR) => continue,
            Ok(1..) => {}
            _ => break,
        }
        match nix::unistd::read(&stdin, &mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
        }
    }
    bytes
}
