//! What the node should be like, from objects, leases and the kernel's ways to the other nodes.

use std::{sync::Arc, time::Instant};

use ferrule_common::layout;
use ferrule_model::desired::{self, Input, Overhead, PeerKind};
use ferrule_source::store::Snapshot;

use super::{Failure, Reconciler};
use crate::{attachment, state::NodeState};

impl Reconciler {
    /// What the node should be like, and the maps accordingly.
    pub(super) async fn compute(&mut self, snapshot: &Snapshot, state: &mut NodeState) -> Result<(), Failure> {
        let started = Instant::now();
        let config = &self.controllers.config;
        let resting = self.keeper.resting();
        let nothing = desired::Remote::default();
        self.leases_seen = Some(self.controllers.attachments.lease_revision());
        let endpoints = self.controllers.attachments.local_endpoints();
        self.leased = endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied()).collect();
        let observed = self.keeper.observed().unwrap_or(&nothing);
        let lasting = self.internal_ips.follow(&snapshot.objects.nodes, &config.node_name, observed, self.now());
        let desired = desired::desired(Input {
            objects: &snapshot.objects,
            node_name: &config.node_name,
            endpoints: &endpoints,
            settings: &desired::Settings {
                routing: config.routing.into(),
                overhead: Overhead::default(),
                cluster_cidrs: config.cluster_cidrs.clone(),
                node_capacity: layout::NODES - 1,
                outer_source: self.outer_source,
            },
            underlay: &self.ways.underlay(),
            observed: &observed.nodes,
            resting: &resting,
            lasting: &lasting,
        })?;
        let desired = Arc::new(desired);
        let applied = self.keeper.apply(&desired, snapshot.whole, &self.controllers.flows);
        self.unfinished = applied.is_err() || !resting.is_empty();
        self.errors.maps = applied.err();
        let peers = desired.remote.peers.values();
        state.mtu = self.ways.pod_mtu;
        self.pods_changed |= self.controllers.attachments.speak_from(desired.host_sources);
        state.claimed = Arc::new(attachment::claimed(&snapshot.objects, &config.node_name));
        state.pod_cidrs.clone_from(&desired.own_pod_cidrs);
        state.internal_ips.clone_from(&desired.own_internal_ips);
        state.remote_pods = peers.filter(|peer| peer.kind == PeerKind::Pod).count();
        let nodes = desired.remote.nodes.iter();
        let names = &desired.node_names;
        let named = nodes.filter_map(|(index, e)| Some((*index, (Arc::clone(names.get(index)?), e.clone()))));
        state.nodes = Arc::new(named.collect());
        state.encapsulation.clone_from(&self.ways.uplinks.words);
        state.devices = self.ways.devices.iter().map(|device| device.name.clone()).collect();
        state.issues = self.issues(&desired, snapshot).await;
        tracing::debug!(
            nodes = state.nodes.len(),
            remote_pods = state.remote_pods,
            milliseconds = started.elapsed().as_millis(),
            "objects are in the maps"
        );
        state.desired = Some(Arc::clone(&desired));
        self.desired = Some(desired);
        crate::allocator::give_back();
        Ok(())
    }

    /// Whether an address that was leased or released since is also somebody else's.
    pub(super) fn leases_matter(&self) -> bool {
        let Some(desired) = &self.desired else { return true };
        let now = self.leased_now();
        now.symmetric_difference(&self.leased).any(|address| desired.depends_on_lease(*address))
    }
}
