//! Waiting for what another process does.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// A time limit, longer by the factor in `FERRULE_PATIENCE`: emulated machines are slow.
#[must_use]
pub fn patience(limit: Duration) -> Duration {
    let factor = std::env::var("FERRULE_PATIENCE").ok().and_then(|text| text.parse().ok());
    limit * factor.unwrap_or(1)
}

/// Asks again and again until `done`, for ten seconds, or what [`patience`] makes of them.
///
/// # Errors
/// Where it did not become so; `what` and the last answer say what was waited for.
pub fn until<T: std::fmt::Debug>(what: &str, ask: impl Fn() -> T, done: impl Fn(&T) -> bool) -> Result<T> {
    until_within(Duration::from_secs(10), what, ask, done)
}

/// The same within another time.
///
/// # Errors
/// As [`until`].
pub fn until_within<T: std::fmt::Debug>(
    limit: Duration,
    what: &str,
    ask: impl Fn() -> T,
    done: impl Fn(&T) -> bool,
) -> Result<T> {
    let (start, limit) = (Instant::now(), patience(limit));
    loop {
        let answer = ask();
        if done(&answer) {
            return Ok(answer);
        }
        if start.elapsed() > limit {
            bail!("waited {} s for {what}; found {answer:?}", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(20));
    }
}
