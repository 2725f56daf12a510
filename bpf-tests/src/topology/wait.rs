//! Waiting for what another process does.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Asks again and again until `done`, for ten seconds.
///
/// # Errors
/// Where it did not become so; `what` and the last answer say what was waited for.
pub fn until<T: std::fmt::Debug>(what: &str, ask: impl Fn() -> T, done: impl Fn(&T) -> bool) -> Result<T> {
    let start = Instant::now();
    loop {
        let answer = ask();
        if done(&answer) {
            return Ok(answer);
        }
        if start.elapsed() > Duration::from_secs(10) {
            bail!("waited 10 s for {what}; found {answer:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}
