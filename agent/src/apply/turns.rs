//! Turns of the task that owns an engine: whoever needs what the store says by now to be in force asks for one and awaits it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{Notify, watch};

/// How the last turn went, by its number.
struct Done<E> {
    turn: u64,
    error: Option<Arc<E>>,
}

/// The turns of one owner. What is asked for together is done together, so that nothing grows with those who wait.
pub struct Turns<E> {
    /// The number of the last turn that somebody asked for.
    asked: AtomicU64,
    bell: Notify,
    done: watch::Sender<Done<E>>,
}

impl<E> Default for Turns<E> {
    fn default() -> Self {
        Self { asked: AtomicU64::new(0), bell: Notify::new(), done: watch::Sender::new(Done { turn: 0, error: None }) }
    }
}

impl<E> Turns<E> {
    /// Asks for a turn and waits until one that began after this is over.
    ///
    /// # Errors
    /// That turn's.
    pub async fn next(&self) -> Result<(), Arc<E>> {
        let turn = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut done = self.done.subscribe();
        self.bell.notify_one();
        let Ok(done) = done.wait_for(|done| done.turn >= turn).await else { return Ok(()) };
        done.error.clone().map_or(Ok(()), Err)
    }

    /// Waits until somebody asks for a turn. For the owner.
    pub async fn asked(&self) {
        self.bell.notified().await;
    }

    /// A turn begins; gives its number. For the owner.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// A turn is over. For the owner.
    pub fn end(&self, turn: u64, outcome: Result<(), E>) {
        let error = outcome.err().map(Arc::new);
        self.done.send_modify(|done| {
            if turn >= done.turn {
                *done = Done { turn, error };
            }
        });
    }

    /// There are no turns any more: nobody waits for one in vain. For the owner.
    pub fn close(&self) {
        self.end(u64::MAX, Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_turn_that_began_before_it_was_asked_for_does_not_count() {
        let turns = Arc::new(Turns::<String>::default());
        let running = turns.begin();
        let asked = Arc::clone(&turns);
        let mut waits = tokio::spawn(async move { asked.next().await });
        turns.asked().await;
        turns.end(running, Ok(()));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut waits).await.is_err(), "it came too early");
        turns.end(turns.begin(), Err("refused".into()));
        assert_eq!(waits.await.unwrap().map_err(|error| error.to_string()), Err("refused".into()));
    }

    #[tokio::test]
    async fn who_asks_when_there_are_no_more_does_not_wait() {
        let turns = Turns::<String>::default();
        turns.close();
        assert_eq!(turns.next().await, Ok(()));
    }
}
