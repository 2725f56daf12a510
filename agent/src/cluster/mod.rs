//! What this agent tells the API server: its pods' addresses, that its node has a network, and what is wrong with objects.
//!
//! Everything here follows a state rather than a sequence: what was not told is told again, and what is true already is
//! not said. Nothing of it is waited for: pods are added and removed while the API server is away.

mod announce;
mod client;
mod events;
mod node;

use std::sync::Arc;

use client::{Cluster, pauses};
use ferrule_api::chain::sentence;
use ferrule_source::{
    kubernetes::{self, Access, Health},
    store::Writer,
};
pub use node::forget as forget_node;

use crate::controllers::Controllers;

/// Follows the API server, and tells it what it should know, once there are credentials that can be used: a kubeconfig may come
/// later than the agent. Ends when nobody reads the store any more.
pub async fn run(access: Access, health: Arc<Health>, writer: Writer, controllers: Arc<Controllers>) {
    for pause in pauses() {
        match kubernetes::connect(&access, &health).await {
            Ok(client) => {
                health.way(None);
                let Controllers { config, attachments, store, state, .. } = &*controllers;
                let node_name = config.node_name.clone();
                let cluster = Cluster { client: client.clone(), health: Arc::clone(&health), node_name };
                tokio::spawn(announce::run(cluster.clone(), Arc::clone(attachments), store.clone()));
                tokio::spawn(events::run(cluster.clone(), store.clone(), state.clone()));
                tokio::spawn(node::run(cluster, store.clone(), state.clone()));
                kubernetes::run(client, health, writer).await;
                return;
            }
            Err(error) => health.way(Some(sentence(&error.into()))),
        }
        tokio::time::sleep(pause).await;
    }
}
