//! The way to the API server, and how soon something is told again.

use std::{sync::Arc, time::Duration};

use ferrule_source::kubernetes::Health;
use kube::Client;

/// The first pause before something is told again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// The way to the API server.
#[derive(Clone)]
pub(super) struct Cluster {
    /// Its client.
    pub client: Client,
    /// How it stands with the watches.
    pub health: Arc<Health>,
    /// This node's name.
    pub node_name: String,
}

/// Pauses that grow, with as much again by chance.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    use backon::BackoffBuilder;
    let builder = backon::ExponentialBuilder::default().with_min_delay(PAUSES.0).with_max_delay(PAUSES.1).with_jitter();
    builder.without_max_times().build()
}
