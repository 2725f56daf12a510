//! When something begins and ceases to pass: a datagram every two milliseconds, and a line for each change, in the test's
//! pods. Lines say how long ago it was, so that nobody's clock has to agree with another's.

use std::{
    io::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use super::ask::bound;

/// How often it is asked.
const PERIOD: Duration = Duration::from_millis(2);
/// How long silence has to last to count: longer than packets are under way.
const SILENCE: Duration = Duration::from_millis(300);

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// It passes now.
    pub passes: bool,
    /// How long it has, or has not, in microseconds.
    pub since_us: u64,
}

/// What was seen so far: pure.
#[derive(Debug)]
struct Seen {
    passes: Option<bool>,
    last: Instant,
}

impl Seen {
    const fn new(now: Instant) -> Self {
        Self { passes: None, last: now }
    }

    fn answered(&mut self, now: Instant) -> Option<Change> {
        self.last = now;
        self.turned(true, Duration::ZERO)
    }

    fn waited(&mut self, now: Instant) -> Option<Change> {
        let silent = now.saturating_duration_since(self.last);
        if silent < SILENCE { None } else { self.turned(false, silent) }
    }

    fn turned(&mut self, passes: bool, since: Duration) -> Option<Change> {
        let changed = self.passes.replace(passes) != Some(passes);
        changed.then(|| Change { passes, since_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX) })
    }
}

/// Watches until nobody reads any more, or a signal comes.
///
/// # Errors
/// Where there is no socket to be had.
pub async fn run(to: SocketAddr) -> std::io::Result<()> {
    let socket = bound(to).await?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut seen = Seen::new(Instant::now());
    let mut buffer = [0; 256];
    loop {
        let change = tokio::select! {
            _ = ticks.tick() => {
                // What is refused by policy may be an error here: silence either way.
                let _ = socket.try_send(b"ferrule");
                seen.waited(Instant::now())
            }
            received = socket.recv(&mut buffer) => match received {
                Ok(_) => seen.answered(Instant::now()),
                Err(_) => None,
            },
        };
        if let Some(change) = change {
            let mut out = std::io::stdout();
            writeln!(out, "{}", serde_json::to_string(&change)?)?;
            out.flush()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_from_when_it_began() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut seen = Seen::new(start);
        assert_eq!(seen.waited(at(100)), None);
        assert_eq!(seen.answered(at(110)), Some(Change { passes: true, since_us: 0 }));
        assert_eq!(seen.answered(at(112)), None);
        assert_eq!(seen.waited(at(411)), None);
        assert_eq!(seen.waited(at(412)), Some(Change { passes: false, since_us: 300_000 }));
        assert_eq!(seen.waited(at(500)), None);
        assert_eq!(seen.answered(at(600)), Some(Change { passes: true, since_us: 0 }));
    }

    #[test]
    fn what_never_passed_is_told_so() {
        let start = Instant::now();
        let told = Seen::new(start).waited(start + SILENCE);
        assert_eq!(told, Some(Change { passes: false, since_us: 300_000 }));
    }
}
