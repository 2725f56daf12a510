//! What this agent tells the API server: its pods' addresses, that its node has a network, and what is wrong with objects.
//!
//! Everything here follows a state rather than a sequence: what was not told is told again, and what is true already is
//! not said. Nothing of it is waited for: pods are added and removed while the API server is away.

mod announce;
mod events;
mod node;

use std::{sync::Arc, time::Duration};

use ferrule_api::chain::sentence;
use ferrule_source::{
    kubernetes,
    kubernetes::{Access, Health},
    store::{Reader, Writer},
};
use kube::Client;
pub use node::forget as forget_node;
use tokio::sync::watch;

use crate::{attachment::Attachments, state::NodeState};

/// The first pause before something is told again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// The way to the API server.
#[derive(Clone)]
struct Cluster {
    /// Its client.
    client: Client,
    /// How it stands with the watches.
    health: Arc<Health>,
    /// This node's name.
    node_name: String,
}

/// What the API server is told of.
pub struct Told {
    /// This node's name.
    pub node_name: String,
    /// This node's pods.
    pub attachments: Arc<Attachments>,
    /// What it said itself.
    pub store: Reader,
    /// What is wrong, and whether pods can be added.
    pub state: watch::Receiver<Arc<NodeState>>,
}

/// Follows the API server, and tells it what it should know, once there are credentials that can be used: a kubeconfig may come
/// later than the agent. Ends when nobody reads the store any more.
pub async fn run(access: Access, health: Arc<Health>, writer: Writer, told: Told) {
    for pause in pauses() {
        match kubernetes::connect(&access, &health).await {
            Ok(client) => {
                health.way(None);
                let Told { node_name, attachments, store, state } = told;
                let cluster = Cluster { client: client.clone(), health: Arc::clone(&health), node_name };
                tokio::spawn(announce::run(cluster.clone(), attachments, store.clone()));
                tokio::spawn(events::run(cluster.clone(), store.clone(), state.clone()));
                tokio::spawn(node::run(cluster, store, state));
                kubernetes::run(client, health, writer).await;
                return;
            }
            Err(error) => health.way(Some(sentence(&error.into()))),
        }
        tokio::time::sleep(pause).await;
    }
}

/// Pauses that grow, with as much again by chance.
fn pauses() -> impl Iterator<Item = Duration> {
    use backon::BackoffBuilder;
    let builder = backon::ExponentialBuilder::default().with_min_delay(PAUSES.0).with_max_delay(PAUSES.1).with_jitter();
    builder.without_max_times().build()
}
