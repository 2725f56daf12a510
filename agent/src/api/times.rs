//! How long the plugin's calls take: an ADD from its first request to its last, veth included, and a DEL.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ferrule_api::plugin::AttachmentId;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    histogram::{Histogram, exponential_buckets},
};

/// An ADD that went no further is forgotten after this: its runtime gave it up.
const GIVEN_UP: Duration = Duration::from_secs(300);
/// More than a node has under way; beyond it those that were given up are looked for.
const MANY: usize = 512;

/// Requests of the plugin.
const OPERATIONS: [&str; 4] = ["reserve", "activate", "release", "check"];

/// What was measured since the agent's start.
pub struct Times {
    /// ADDs that ended well, in seconds.
    pub add: Histogram,
    /// DELs that ended well, in seconds.
    pub del: Histogram,
    /// Requests that were refused or failed, by operation.
    pub failed: Family<Vec<(String, String)>, Counter>,
    begun: Mutex<HashMap<AttachmentId, Instant>>,
}

impl Default for Times {
    fn default() -> Self {
        // From a millisecond to eight seconds.
        let buckets = || exponential_buckets(0.001, 2.0, 14);
        let failed = Family::<Vec<(String, String)>, Counter>::default();
        // From the start, so that the first failure is an increase.
        for operation in OPERATIONS {
            failed.get_or_create(&vec![("operation".into(), operation.into())]).inc_by(0);
        }
        Self { add: Histogram::new(buckets()), del: Histogram::new(buckets()), failed, begun: Mutex::default() }
    }
}

impl Times {
    /// An ADD begins, or is tried again.
    pub(super) fn begin(&self, id: &AttachmentId) {
        let mut begun = self.begun();
        if begun.len() >= MANY {
            begun.retain(|_, since| since.elapsed() < GIVEN_UP);
        }
        begun.entry(id.clone()).or_insert_with(Instant::now);
    }

    /// An ADD is done.
    pub(super) fn added(&self, id: &AttachmentId) {
        let began = self.begun().remove(id);
        if let Some(since) = began {
            self.add.observe(since.elapsed().as_secs_f64());
        }
    }

    /// A DEL is done that began then.
    pub(super) fn deleted(&self, id: &AttachmentId, since: Instant) {
        self.begun().remove(id);
        self.del.observe(since.elapsed().as_secs_f64());
    }

    /// Counts what failed, and passes it on.
    pub(super) fn told<T, E>(&self, operation: &str, result: Result<T, E>) -> Result<T, E> {
        if result.is_err() {
            self.failed.get_or_create(&vec![("operation".into(), operation.into())]).inc();
        }
        result
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<AttachmentId, Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    fn count(histogram: &Histogram) -> u64 {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("h", "h", histogram.clone());
        encode(&mut text, &registry).unwrap();
        text.lines().find_map(|line| line.strip_prefix("h_count ")).unwrap().parse().unwrap()
    }

    fn id(container: &str) -> AttachmentId {
        AttachmentId { container_id: container.into(), ifname: "eth0".into() }
    }

    #[test]
    fn an_add_counts_once_from_its_first_request() {
        let times = Times::default();
        times.begin(&id("a"));
        times.begin(&id("a"));
        times.added(&id("a"));
        times.added(&id("a"));
        assert_eq!(count(&times.add), 1);
    }

    #[test]
    fn a_del_ends_an_add_that_did_not_get_through() {
        let times = Times::default();
        times.begin(&id("a"));
        times.deleted(&id("a"), Instant::now());
        times.added(&id("a"));
        assert_eq!((count(&times.add), count(&times.del)), (0, 1));
    }

    #[test]
    fn what_fails_is_counted_by_operation() {
        let times = Times::default();
        assert!(times.told::<(), _>("activate", Err("no")).is_err() && times.told::<_, ()>("release", Ok(1)).is_ok());
        let count = |operation: &str| times.failed.get_or_create(&vec![("operation".into(), operation.into())]).get();
        assert_eq!((count("activate"), count("release")), (1, 0));
    }
}
