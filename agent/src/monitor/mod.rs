//! What programs tell of single packets, handed to everybody who watches.
//!
//! ```text
//! fr_events ──▶ read ──▶ (one broadcast) ──▶ a stream of JSON lines for each watcher
//! ```

mod show;

use std::{
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use ferrule_common::event::Event;
use ferrule_kernel::bpf::Events;
pub use show::Names;
use tokio::{io::unix::AsyncFd, sync::broadcast};

/// Events that wait for a slow watcher before it misses some.
const BACKLOG: usize = 4096;

/// The one reader of events.
pub struct Monitor {
    events: Mutex<Events>,
    sender: broadcast::Sender<Event>,
    /// Watchers that asked for new flows, too.
    curious: AtomicUsize,
}

/// Somebody who watches; programs are told when nobody asks for new flows any more.
pub struct Watcher {
    monitor: Arc<Monitor>,
    allowed: bool,
    /// What is told.
    pub events: broadcast::Receiver<Event>,
}

impl Monitor {
    /// Over the pinned ring.
    #[must_use]
    pub fn new(events: Events) -> Self {
        Self { events: Mutex::new(events), sender: broadcast::channel(BACKLOG).0, curious: AtomicUsize::new(0) }
    }

    /// Reads until the agent ends.
    ///
    /// # Errors
    /// Where the ring cannot be waited for.
    pub async fn read(self: Arc<Self>) -> std::io::Result<()> {
        // SAFETY: the descriptor is owned by what is registered, and closed with it.
        let ready = unsafe { AsyncFd::register_with_interest(self.ring()?, tokio::io::Interest::READABLE) }?;
        loop {
            let mut guard = ready.readable().await?;
            let mut events = self.lock();
            while let Some(event) = events.take() {
                // Nobody may be watching.
                let _ = self.sender.send(event);
            }
            drop(events);
            guard.clear_ready();
        }
    }

    /// Watches; `allowed` asks for new flows that may pass, beside drops.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch(self: &Arc<Self>, allowed: bool) -> Result<Watcher, aya::maps::MapError> {
        if allowed {
            self.curious.fetch_add(1, Ordering::SeqCst);
            self.lock().tell_allowed(true)?;
        }
        Ok(Watcher { monitor: Arc::clone(self), allowed, events: self.sender.subscribe() })
    }

    /// The ring's descriptor once more, to be waited for without a lock.
    fn ring(&self) -> std::io::Result<OwnedFd> {
        let events = self.lock();
        // SAFETY: the ring is open, and outlives the borrow.
        unsafe { BorrowedFd::borrow_raw(events.ring.as_raw_fd()) }.try_clone_to_owned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if self.allowed
            && self.monitor.curious.fetch_sub(1, Ordering::SeqCst) == 1
            && let Err(error) = self.monitor.lock().tell_allowed(false)
        {
            tracing::warn!(%error, "the programs go on telling of new flows");
        }
    }
}
