//! What this agent tells the API server: its pods' addresses, that its node has a network, and what is wrong with objects.
//!
//! Everything here follows a state rather than a sequence: what was not told is told again, and what is true already is
//! not said. Nothing of it is waited for: pods are added and removed while the API server is away.

mod announce;
mod events;
mod node;

use std::{sync::Arc, time::Duration};

use kube::Client;
pub use node::forget as forget_node;
use tokio::sync::watch;

use crate::{attachment::Attachments, source::kubernetes::Health, state::NodeState, store::Reader};

/// The first pause before something is told again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// The way to the API server.
#[derive(Clone)]
pub struct Cluster {
    /// Its client.
    pub client: Client,
    /// How it stands with the watches.
    pub health: Arc<Health>,
    /// This node's name.
    pub node_name: String,
}

impl Cluster {
    /// Starts telling.
    pub fn start(&self, attachments: &Arc<Attachments>, store: &Reader, state: watch::Receiver<Arc<NodeState>>) {
        tokio::spawn(announce::run(self.clone(), Arc::clone(attachments), store.clone()));
        tokio::spawn(events::run(self.clone(), store.clone(), state.clone()));
        tokio::spawn(node::run(self.clone(), store.clone(), state));
    }
}

/// Pauses that grow, with as much again by chance.
fn pauses() -> impl Iterator<Item = Duration> {
    use backon::BackoffBuilder;
    let builder = backon::ExponentialBuilder::default().with_min_delay(PAUSES.0).with_max_delay(PAUSES.1).with_jitter();
    builder.without_max_times().build()
}
