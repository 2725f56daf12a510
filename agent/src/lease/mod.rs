//! Durable leases: which attachment has which addresses, MACs and endpoint index.
//!
//! ```text
//! reserve, activate, release ──▶ Book (memory: decides) ──▶ changes ──▶ Database (redb: one transaction, one fsync
//!        ▲                                                                         for all that wait)
//!        └────────────────────── answer, when the changes are on disk ◀────────────┘
//! ```
//!
//! # Why no crash leaks or doubles an address
//! The file on disk is the truth; the book is rebuilt from it when the agent starts. A transaction is on disk wholly or
//! not at all, and changes reach the disk in the order in which the book made them.
//! - **reserve** answers after its lease is on disk. A crash before that: nobody was told of the addresses, and the file
//!   does not name them. A crash after that, before the answer: the plugin's retry finds the lease (same container id,
//!   ifname and netns), its DEL removes it, and if neither comes the lease is [`Leases::stale`] as soon as its netns is
//!   gone.
//! - **release** answers after the lease is gone from disk and its addresses rest. A crash before that: the lease
//!   stands, and the DEL, which got no answer, is repeated or noted by the plugin. The order matters when the pool is
//!   short: a lease that takes over a just released address is in the same transaction as the release, or a later one.
//! - **activate** waits for no disk; its change goes with the next transaction. If a crash loses it, the lease is merely
//!   `Reserved` again: all that it adds (the host side's ifindex) is found by the host side's name, which the lease has,
//!   and an attachment whose link or netns stands is not stale.
//! - When a transaction fails (a full or broken disk), all that wait for it get the error, and the book is read anew from
//!   the file before anything else is decided.
//!
//! One agent at a time: a lock file in the state directory, which names the holder.

mod book;
mod database;
mod error;
mod lock;
mod mac;
mod record;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use book::Book;
pub use book::Terms;
use database::{Change, Database};
pub use error::LeaseError;
use ferrule_api::plugin::{AttachmentId, ReserveRequest};
pub use lock::StateLock;
pub use mac::{Mac, MacError};
pub use record::{Lease, State};

/// The lease database of a state directory. All calls block for as long as an fsync takes; make them where blocking is
/// fine. Calls from several threads at a time share transactions.
#[derive(Debug)]
pub struct Leases {
    path: PathBuf,
    boot_id: String,
    desk: Mutex<Desk>,
    /// A batch is settled.
    settled: Condvar,
    _lock: StateLock,
}

/// What all callers share.
#[derive(Debug)]
struct Desk {
    book: Book,
    /// Away while a caller writes a batch; none also after a failure, until the file is opened anew.
    database: Option<Database>,
    /// The batch that collects changes.
    open: Arc<Batch>,
    changes: Vec<Change>,
    /// How often leases came and went.
    revision: u64,
    /// The batch that a caller is writing.
    flying: Option<Arc<Batch>>,
}

/// Changes that reach the disk together.
#[derive(Debug, Default)]
struct Batch(OnceLock<Result<(), Arc<LeaseError>>>);

impl Leases {
    /// Opens the leases of a state directory, and makes both where they do not exist. `boot_id` tells this boot from
    /// others (`/proc/sys/kernel/random/boot_id`); `now_ms` is in milliseconds since 1970, as in every call.
    ///
    /// # Errors
    /// [`LeaseError::InUse`] when another agent has the directory, [`LeaseError::Damaged`] and its like when the file
    /// cannot be used. Nothing is ever deleted.
    pub fn open(state_dir: &Path, now_ms: u64, boot_id: &str) -> Result<Self, LeaseError> {
        let lock = StateLock::acquire(state_dir)?;
        let path = state_dir.join("leases.redb");
        let database = Database::open(&path)?;
        let book = Book::load(database.rows()?, now_ms).map_err(|reason| damaged(&path, reason))?;
        let desk =
            Desk { book, database: Some(database), open: Arc::default(), changes: vec![], revision: 0, flying: None };
        Ok(Self { path, boot_id: boot_id.to_owned(), desk: Mutex::new(desk), settled: Condvar::new(), _lock: lock })
    }

    /// Leases addresses, MACs and an endpoint index to an attachment. The second part of the answer is false when the
    /// attachment had its lease already.
    ///
    /// # Errors
    /// [`LeaseError`]; nothing is leased then.
    pub fn reserve(&self, request: &ReserveRequest, terms: &Terms<'_>) -> Result<(Arc<Lease>, bool), LeaseError> {
        // A netns ends with the boot that it was made in: the container of a former boot begins anew.
        if self.get(&request.id).is_some_and(|lease| lease.boot_id != self.boot_id) {
            self.release(&request.id, terms.now_ms)?;
        }
        let mut desk = self.desk(terms.now_ms)?;
        let (lease, changes) = desk.book.reserve(request, terms, &self.boot_id)?;
        let fresh = !changes.is_empty();
        desk.revision += u64::from(fresh);
        desk.changes.extend(changes);
        self.settle(desk)?;
        Ok((lease, fresh))
    }

    /// Notes that the attachment's link is there and its programs are in force.
    ///
    /// # Errors
    /// [`LeaseError::Unknown`] when there is no such lease.
    pub fn activate(&self, id: &AttachmentId, host_ifindex: u32, now_ms: u64) -> Result<Arc<Lease>, LeaseError> {
        let mut desk = self.desk(now_ms)?;
        let (lease, changes) = desk.book.activate(id, host_ifindex)?;
        desk.changes.extend(changes);
        Ok(lease)
    }

    /// Ends a lease, and returns it; none if there is no such lease. Its addresses and its endpoint index rest from
    /// `now_ms` on. Call it last: when the link, the map entries and the routes are gone.
    ///
    /// # Errors
    /// When the change cannot be written; the lease then stands.
    pub fn release(&self, id: &AttachmentId, now_ms: u64) -> Result<Option<Arc<Lease>>, LeaseError> {
        let mut desk = self.desk(now_ms)?;
        let (lease, changes) = desk.book.release(id, now_ms);
        desk.revision += u64::from(lease.is_some());
        desk.changes.extend(changes);
        // Also without a change of its own: another call's release of the same lease may still be on its way.
        self.settle(desk)?;
        Ok(lease)
    }

    /// One lease.
    #[must_use]
    pub fn get(&self, id: &AttachmentId) -> Option<Arc<Lease>> {
        self.locked().book.get(id)
    }

    /// Every leased address.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<IpAddr> {
        self.list().iter().flat_map(|lease| lease.addresses.iter().copied()).collect()
    }

    /// Every lease, sorted by container id and ifname.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Lease>> {
        self.locked().book.list()
    }

    /// A number that is another whenever a lease came or went since: whoever looks at all of them reads it first.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.locked().revision
    }

    /// This boot's id.
    #[must_use]
    pub fn boot_id(&self) -> &str {
        &self.boot_id
    }

    /// Released addresses that still rest, with the time of their release.
    #[must_use]
    pub fn resting(&self, now_ms: u64) -> Vec<(IpAddr, u64)> {
        self.locked().book.resting(now_ms)
    }

    /// Leases that nobody can need any more: those of another boot, and those that were never activated and are no
    /// longer alive. `is_alive` must be true as long as the lease's netns *or* a link named by its host ifname exists.
    /// Clean them up like a DEL, then release them.
    pub fn stale(&self, is_alive: &dyn Fn(&Lease) -> bool) -> Vec<Arc<Lease>> {
        let mut leases = self.list();
        leases.retain(|one| one.boot_id != self.boot_id || (one.state == State::Reserved && !is_alive(one)));
        leases
    }

    /// Writes what no call has waited for yet (activations).
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&self, now_ms: u64) -> Result<(), LeaseError> {
        self.settle(self.desk(now_ms)?)
    }

    /// The desk, fit for a decision.
    fn desk(&self, now_ms: u64) -> Result<MutexGuard<'_, Desk>, LeaseError> {
        let mut desk = self.locked();
        if desk.database.is_none() && desk.flying.is_none() {
            self.reload(&mut desk, now_ms)?;
        }
        Ok(desk)
    }

    /// Opens the file anew; what it says stands.
    fn reload(&self, desk: &mut Desk, now_ms: u64) -> Result<(), LeaseError> {
        let database = Database::open(&self.path)?;
        desk.book = Book::load(database.rows()?, now_ms).map_err(|reason| damaged(&self.path, reason))?;
        desk.database = Some(database);
        desk.revision += 1;
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, Desk> {
        // A caller that panicked did so before it changed anything (it asks `held` first) or while it held no lock.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until all changes made so far are on disk. Whoever finds nobody writing writes for all that wait.
    fn settle<'a>(&'a self, mut desk: MutexGuard<'a, Desk>) -> Result<(), LeaseError> {
        let batch = if desk.changes.is_empty() { desk.flying.clone() } else { Some(Arc::clone(&desk.open)) };
        let Some(batch) = batch else { return Ok(()) };
        loop {
            if let Some(outcome) = batch.0.get() {
                return outcome.clone().map_err(LeaseError::Shared);
            }
            desk = match desk.database.take() {
                Some(database) => self.write(desk, database),
                None => self.settled.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Writes the open batch.
    fn write<'a>(&'a self, mut desk: MutexGuard<'a, Desk>, database: Database) -> MutexGuard<'a, Desk> {
        let (batch, changes) = (std::mem::take(&mut desk.open), std::mem::take(&mut desk.changes));
        desk.flying = Some(Arc::clone(&batch));
        drop(desk);
        let outcome = database.write(&changes).map_err(Arc::new);
        let mut desk = self.locked();
        desk.flying = None;
        if outcome.is_ok() {
            desk.database = Some(database);
        } else {
            // What was decided since rests on what was not written. If the file cannot be opened now, the next call tries
            // again before it decides anything.
            desk.changes.clear();
            let since = std::mem::take(&mut desk.open);
            _ = since.0.set(outcome.clone());
            drop(database);
            _ = self.reload(&mut desk, u64::MAX);
        }
        _ = batch.0.set(outcome);
        self.settled.notify_all();
        desk
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        let desk = self.desk.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = desk.database.as_ref().filter(|_| !desk.changes.is_empty()) {
            // Activations alone wait here, and they are found again.
            _ = database.write(&desk.changes);
        }
    }
}

fn damaged(path: &Path, reason: String) -> LeaseError {
    LeaseError::Damaged { path: path.to_owned(), reason }
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;
