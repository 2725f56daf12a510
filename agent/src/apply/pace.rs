//! Work that is done now and then.

use std::time::{Duration, Instant};

/// Work that is done no more often than once in a period.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    period: Duration,
    last: Option<Instant>,
}

impl Pace {
    /// Work that is due at once.
    #[must_use]
    pub const fn due(period: Duration) -> Self {
        Self { period, last: None }
    }

    /// Work that is due a period from now.
    #[must_use]
    pub fn resting(period: Duration) -> Self {
        Self { period, last: Some(Instant::now()) }
    }

    /// Whether a period has gone since it was done.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= self.period)
    }

    /// It is done.
    pub fn done(&mut self) {
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_rests_for_a_period() {
        let mut pace = Pace::due(Duration::from_secs(3600));
        assert!(pace.is_due());
        pace.done();
        assert!(!pace.is_due() && !Pace::resting(Duration::from_secs(3600)).is_due());
        assert!(Pace::resting(Duration::ZERO).is_due());
    }
}
