//! Verdicts for operators: the oracle's, which reads policies as Kubernetes documents them, beside what the live maps say.

mod check;
mod live;
mod ports;
mod verdict;

use std::{net::IpAddr, sync::Arc};

pub use check::check;
use ferrule_model::{
    objects::{ObjectName, Objects},
    oracle::{self, OwnNodeEgress, World},
};
pub use verdict::explain;

use crate::{attachment::Attachments, config};

/// What a verdict on this node depends on, as of one moment.
pub struct Moment {
    /// The objects.
    pub objects: Arc<Objects>,
    /// This node's name.
    pub node_name: String,
    /// This node's leases.
    pub endpoints: Vec<oracle::Endpoint>,
    /// This node's addresses.
    pub own_addresses: Vec<IpAddr>,
    /// What pods may send to it.
    pub own_node_egress: OwnNodeEgress,
}

impl Moment {
    /// As the agent knows it.
    #[must_use]
    pub fn new(
        objects: Arc<Objects>,
        config: &config::Config,
        attachments: &Attachments,
        own_addresses: Vec<IpAddr>,
    ) -> Self {
        let leases = attachments.leases();
        let endpoints = leases.iter().map(|lease| oracle::Endpoint {
            index: lease.endpoint_index,
            addresses: lease.addresses.clone(),
            pod: lease.pod.as_ref().map(|pod| ObjectName::new(pod.namespace.as_str(), pod.name.as_str())),
            uid: lease.pod.as_ref().and_then(|pod| pod.uid.clone()).unwrap_or_default(),
        });
        Self {
            objects,
            node_name: config.node_name.clone(),
            endpoints: endpoints.collect(),
            own_addresses,
            own_node_egress: match config.own_node_egress {
                config::OwnNodeEgress::Allow => OwnNodeEgress::Allow,
                config::OwnNodeEgress::Policed => OwnNodeEgress::Policed,
            },
        }
    }

    /// As the oracle sees it, with these objects.
    #[must_use]
    pub fn world<'a>(&'a self, objects: &'a Objects) -> World<'a> {
        World {
            objects,
            node_name: &self.node_name,
            endpoints: &self.endpoints,
            own_addresses: &self.own_addresses,
            own_node_egress: self.own_node_egress,
        }
    }
}
