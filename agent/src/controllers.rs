//! The agent's controllers, made once, and what they share.
//!
//! ```text
//! flows ◀─ policy ◀─┐
//!          owners ◀─┼─ attachments
//!          services ┘
//! ```

use std::sync::{Arc, Mutex};

use ferrule_api::plugin;
use ferrule_kernel::{
    bpf::{EndpointMaps, FlowTable, OwnerMaps, Pins, PolicyMaps, Programs, ServiceMaps},
    changes::Changes,
};
use ferrule_source::store::Reader;
use rtnetlink::Handle;
use tokio::sync::watch;

use crate::{
    attachment::{self, Attachments},
    config::Config,
    flows::Flows,
    lease::Leases,
    policy::Policy,
    services::{self, Owners, Services},
    state::NodeState,
};

/// Everybody's way to the controllers.
pub struct Controllers {
    /// The configuration.
    pub config: Arc<Config>,
    /// Netlink.
    pub net: Handle,
    /// The programs.
    pub programs: Arc<Mutex<Programs>>,
    /// The pinned maps.
    pub pins: Pins,
    /// The objects.
    pub store: Reader,
    /// The reconciler listens to it.
    pub changes: Arc<Changes>,
    /// What the reconciler found.
    pub state: watch::Receiver<Arc<NodeState>>,
    /// The connection table.
    pub flows: Arc<Flows>,
    /// What may pass.
    pub policy: Arc<Policy>,
    /// Services.
    pub services: Arc<Services>,
    /// Local pods.
    pub attachments: Arc<Attachments>,
}

/// What controllers write to: each map has one writer.
pub struct Written {
    /// Local pods' maps: attachments.
    pub endpoints: EndpointMaps,
    /// The connection table: flows.
    pub flows: FlowTable,
    /// Policies' maps.
    pub policy: PolicyMaps,
    /// Services' maps.
    pub services: ServiceMaps,
    /// Whose sockets ask Services.
    pub owners: OwnerMaps,
}

/// What is there before any controller.
pub struct Ground {
    /// The configuration.
    pub config: Arc<Config>,
    /// Netlink.
    pub net: Handle,
    /// The programs.
    pub programs: Arc<Mutex<Programs>>,
    /// The pinned maps.
    pub pins: Pins,
    /// The objects.
    pub store: Reader,
    /// The reconciler listens to it.
    pub changes: Arc<Changes>,
    /// What the reconciler found.
    pub state: watch::Receiver<Arc<NodeState>>,
}

impl Controllers {
    /// Over maps and leases; nothing runs yet.
    #[must_use]
    pub fn new(ground: Ground, written: Written, leases: Leases) -> Self {
        let Ground { config, net, programs, pins, store, changes, state } = ground;
        let flows = Arc::new(Flows::new(written.flows));
        let policy = Arc::new(Policy::new(written.policy, Arc::clone(&flows), store.clone()));
        let owners = Arc::new(Owners::new(written.owners));
        let parts = services::Parts {
            programs: Arc::clone(&programs),
            pins: pins.clone(),
            owners: Arc::clone(&owners),
            store: store.clone(),
        };
        let services = Arc::new(Services::new(&config, written.services, parts));
        let attachments = Arc::new(Attachments::new(attachment::Parts {
            leases,
            policy: Arc::clone(&policy),
            owners,
            maps: written.endpoints,
            programs: Arc::clone(&programs),
            net: net.clone(),
            state: state.clone(),
            store: store.clone(),
            require_pod_object: config.require_pod_object,
            changes: Arc::clone(&changes),
            notes: plugin::release_notes(&config.socket),
            host_local: config.host_local.clone(),
        }));
        Self { config, net, programs, pins, store, changes, state, flows, policy, services, attachments }
    }

    /// Starts those that keep something in force; the reconciler, which waits for them, starts by itself.
    pub fn start(&self) {
        tokio::spawn(Arc::clone(&self.flows).keep());
        tokio::spawn(Arc::clone(&self.policy).run(self.store.clone()));
        tokio::spawn(Arc::clone(&self.services).run(Arc::clone(&self.attachments), self.store.clone()));
    }
}
