//! A lasting TCP connection that is used all the time.

use std::{
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::PORT;
use crate::topology::{Netns, patience};

/// A connection to an echo server, with one exchange after the other.
#[derive(Debug)]
pub struct Flow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Duration>>,
}

impl Flow {
    /// Opens it and begins to exchange; it is broken where one exchange takes longer than two seconds.
    ///
    /// # Errors
    /// Where the server is not reached.
    pub fn start(from: &Netns, to: IpAddr) -> Result<Self> {
        Self::start_within(from, to, Duration::from_secs(2))
    }

    /// The same with another limit for one exchange: TCP waits twice as long each time before it sends again, so that what is
    /// mended after two seconds is seen after three.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_within(from: &Netns, to: IpAddr, limit: Duration) -> Result<Self> {
        let limit = patience(limit);
        let stream = from
            .enter(|| TcpStream::connect_timeout(&SocketAddr::new(to, PORT), limit))?
            .with_context(|| format!("from {} to {to}", from.name()))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        let stop = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&stop);
        Ok(Self { stop, thread: thread::spawn(move || exchange(stream, &end)) })
    }

    /// Ends it; the longest that an exchange took.
    ///
    /// # Errors
    /// What broke it.
    pub fn end(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn exchange(mut stream: TcpStream, stop: &AtomicBool) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    let mut buffer = [0; 512];
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        stream.write_all(&buffer).context("the flow broke")?;
        stream.read_exact(&mut buffer).context("the flow broke")?;
        longest = longest.max(start.elapsed());
        thread::sleep(patience(Duration::from_millis(1)));
    }
    Ok(longest)
}
