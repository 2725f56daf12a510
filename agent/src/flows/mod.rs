//! The connection table as the agent keeps it: swept of what has expired, listed and flushed for operators.
//!
//! The programs make entries and could do without all of this: an insert that meets a full table takes the place of what
//! has expired. The agent's sweeps keep the table small, and see to it that an address that changes hands takes no flow
//! with it.

mod recount;
mod show;

use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ferrule_common::flow::{Flow, FlowKey};
pub use ferrule_kernel::bpf::flow_table::Sweep;
use ferrule_kernel::bpf::{FlowTable, flow_table::Swept};
use recount::{Count, Differences};
pub use show::{protocol, shown};
use tokio::sync::Notify;

/// How often flows are counted anew.
const RECOUNT: Duration = Duration::from_secs(30);
/// How often what has expired is removed.
const PERIOD: Duration = Duration::from_secs(5);
/// How long a sweep is followed by none, however many addresses lose their owner: whoever gets one of them sweeps first.
const REST: Duration = Duration::from_secs(1);

/// The connection table.
pub struct Flows {
    table: Mutex<FlowTable>,
    /// Addresses that have lost their owner since the last sweep.
    lost: Mutex<BTreeSet<IpAddr>>,
    told: Notify,
    /// What was off when flows were counted last.
    off: Mutex<Differences>,
}

impl Flows {
    /// Over the pinned table.
    #[must_use]
    pub fn new(table: FlowTable) -> Self {
        Self { table: Mutex::new(table), lost: Mutex::default(), told: Notify::new(), off: Mutex::default() }
    }

    /// Sweeps until the agent ends.
    pub async fn keep(self: Arc<Self>) {
        let mut counted = Instant::now();
        loop {
            let flows = Arc::clone(&self);
            let recount = counted.elapsed() >= RECOUNT;
            if recount {
                counted = Instant::now();
            }
            let swept = move || {
                let swept = flows.sweep(Sweep::Stale)?;
                if recount {
                    flows.recount()?;
                }
                Ok::<_, io::Error>(swept)
            };
            match tokio::task::spawn_blocking(swept).await {
                Ok(Ok(swept)) if swept.removed != 0 => {
                    tracing::debug!(seen = swept.seen, removed = swept.removed, "swept flows");
                }
                Ok(Err(error)) => tracing::warn!(%error, "flows cannot be swept; the programs do without it"),
                _ => {}
            }
            tokio::time::sleep(REST).await;
            let _ = tokio::time::timeout(PERIOD - REST, self.told.notified()).await;
        }
    }

    /// Looks at every flow once. Waits for the kernel: not for an async task.
    ///
    /// # Errors
    /// The kernel's.
    pub fn sweep(&self, what: Sweep) -> io::Result<Swept> {
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        let swept = self.table().sweep(what);
        if swept.is_err() {
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).extend(lost);
        }
        swept
    }

    /// Counts flows, and corrects what was off twice in a row.
    fn recount(&self) -> io::Result<()> {
        let mut table = self.table();
        let now = recount::differences(&table.flows()?, &table.shares()?, &table.pooled()?);
        let mut before = self.off.lock().unwrap_or_else(PoisonError::into_inner);
        let corrections = recount::corrections(&before, &now);
        *before = now;
        for (count, by) in &corrections {
            let corrected = match *count {
                Count::Endpoint(endpoint, counted) => table.correct_share(endpoint, counted, *by),
                Count::Tenant(tenant) => table.correct_pooled(tenant, *by),
            };
            corrected.map_err(io::Error::other)?;
            before.remove(count);
        }
        if !corrections.is_empty() {
            tracing::warn!(counts = corrections.len(), "counts of flows were off, and are right again");
        }
        Ok(())
    }

    /// An address has no owner any more, as the maps of peers and endpoints say, too: its flows go soon.
    pub fn lose(&self, address: IpAddr) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
        self.told.notify_one();
    }

    /// Whether an address that gets an owner may still have flows of its former one.
    #[must_use]
    pub fn is_lost(&self, address: IpAddr) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(&address)
    }

    /// Every flow.
    ///
    /// # Errors
    /// The kernel's.
    pub fn list(&self) -> io::Result<Vec<(FlowKey, Flow)>> {
        self.table().flows()
    }

    /// How many flows there are, and how many there may be.
    ///
    /// # Errors
    /// The kernel's.
    pub fn count(&self) -> io::Result<(u64, u32)> {
        let table = self.table();
        Ok((table.shares()?.iter().map(|(_, share)| share.flows()).sum(), table.capacity()))
    }

    /// How many flows found no room in the table since it was made, of all endpoints.
    ///
    /// # Errors
    /// The kernel's.
    pub fn refused(&self) -> io::Result<u64> {
        Ok(self.table().shares()?.iter().map(|(_, share)| u64::from(share.refused)).sum())
    }

    fn table(&self) -> std::sync::MutexGuard<'_, FlowTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
