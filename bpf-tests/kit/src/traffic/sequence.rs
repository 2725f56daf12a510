//! Numbered datagrams, a thousand a second: which of them arrive, and in which order.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use super::echo::is_timeout;
use crate::topology::Netns;

/// The port that they are sent to.
const PORT: u16 = 7008;
/// Between two of them.
const PERIOD: Duration = Duration::from_millis(1);
/// Bytes that wait for the receiver: seconds of traffic, so that a busy machine loses none.
const BUFFER: usize = 16 << 20;
/// How often the receiver looks whether it should end, and how long what is under way may take.
const TURN: Duration = Duration::from_millis(50);
const REST: Duration = Duration::from_secs(1);

/// A sender and a receiver of numbered datagrams.
#[derive(Debug)]
pub struct Sequence {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Sent>,
    receiver: JoinHandle<Received>,
}

#[derive(Debug, Default)]
struct Sent {
    count: u32,
    /// What the kernel said of a datagram that it did not take.
    refused: Option<String>,
}

#[derive(Debug, Default)]
struct Received {
    /// By number: how often.
    seen: Vec<u8>,
    late: u32,
    silence: Duration,
}

/// What became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many were sent, a millisecond apart.
    pub sent: u32,
    /// The numbers that did not arrive, from 0.
    pub gaps: Vec<RangeInclusive<u32>>,
    /// How many arrived after one that was sent later.
    pub late: u32,
    /// How many arrived more than once.
    pub doubled: usize,
    /// The longest time in which none arrived.
    pub silence: Duration,
    /// What the sender's kernel said last of one that it did not take.
    pub refused: Option<String>,
}

impl Sequence {
    /// Begins to send from one namespace to an address of another.
    ///
    /// # Errors
    /// Where the address is not the receiver's, or there is no way to it.
    pub fn start(from: &Netns, receiver: &Netns, to: IpAddr) -> Result<Self> {
        let at = SocketAddr::new(to, PORT);
        let inbox = receiver.enter(|| UdpSocket::bind(at))?.with_context(|| format!("{at} in {}", receiver.name()))?;
        setsockopt(&inbox, RcvBufForce, &BUFFER).context("a receiver's buffer")?;
        inbox.set_read_timeout(Some(TURN))?;
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let outbox = from.enter(|| UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(at).map(|()| socket)))?;
        let outbox = outbox.with_context(|| format!("from {} to {at}", from.name()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ends, end) = (Arc::clone(&stop), Arc::clone(&stop));
        Ok(Self {
            stop,
            sender: thread::spawn(move || send(&outbox, &ends)),
            receiver: thread::spawn(move || receive(&inbox, &end)),
        })
    }

    /// Ends it, once what is under way has arrived.
    #[must_use]
    pub fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let received = self.receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        tally(sent, &received)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing: u32 = self.gaps.iter().map(|gap| gap.end() - gap.start() + 1).sum();
        write!(
            f,
            "{} sent, {missing} missing {:?}, {} late, {} doubled, silent for {:?} at most",
            self.sent, self.gaps, self.late, self.doubled, self.silence
        )?;
        self.refused.iter().try_for_each(|words| write!(f, ", refused: {words}"))
    }
}

fn send(socket: &UdpSocket, stop: &AtomicBool) -> Sent {
    let mut sent = Sent::default();
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        // By the clock, so that one that was sent late does not put off the others.
        thread::sleep((start + PERIOD * sent.count).saturating_duration_since(Instant::now()));
        let mut datagram = [0; 64];
        datagram[..4].copy_from_slice(&sent.count.to_ne_bytes());
        // One that is not taken is missed at the other end.
        if let Err(error) = socket.send(&datagram) {
            sent.refused = Some(error.to_string());
        }
        sent.count += 1;
    }
    sent
}

fn receive(socket: &UdpSocket, stop: &AtomicBool) -> Received {
    let mut received = Received::default();
    let (mut last, mut stopped) = (Instant::now(), None);
    while stopped.is_none_or(|at: Instant| at.elapsed() < REST) {
        let mut datagram = [0; 64];
        match socket.recv(&mut datagram) {
            Ok(_) => {
                if stopped.is_none() {
                    received.silence = received.silence.max(last.elapsed());
                    last = Instant::now();
                }
                received.note(u32::from_ne_bytes([datagram[0], datagram[1], datagram[2], datagram[3]]));
            }
            Err(error) if is_timeout(&error) => {}
            Err(_) => break,
        }
        if stop.load(Ordering::Relaxed) && stopped.is_none() {
            stopped = Some(Instant::now());
            received.silence = received.silence.max(last.elapsed());
        }
    }
    received
}

impl Received {
    fn note(&mut self, number: u32) {
        let at = number as usize;
        if at >= self.seen.len() {
            self.seen.resize(at + 1, 0);
        } else if self.seen[at] == 0 {
            self.late += 1;
        }
        self.seen[at] = self.seen[at].saturating_add(1);
    }
}

fn tally(sent: Sent, received: &Received) -> Tally {
    let mut gaps: Vec<RangeInclusive<u32>> = Vec::new();
    let missing = |number: &u32| received.seen.get(*number as usize).is_none_or(|times| *times == 0);
    for number in (0..sent.count).filter(missing) {
        match gaps.last_mut() {
            Some(gap) if *gap.end() + 1 == number => *gap = *gap.start()..=number,
            _ => gaps.push(number..=number),
        }
    }
    let doubled = received.seen.iter().filter(|times| **times > 1).count();
    Tally { sent: sent.count, gaps, late: received.late, doubled, silence: received.silence, refused: sent.refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_late_or_doubled_is_counted() {
        let mut received = Received::default();
        for number in [0, 1, 4, 2, 4, 7] {
            received.note(number);
        }
        let tally = tally(Sent { count: 10, refused: None }, &received);
        assert_eq!((tally.gaps, tally.late, tally.doubled), (vec![3..=3, 5..=6, 8..=9], 1, 1));
    }
}
