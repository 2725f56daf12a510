//! Pods that come, go and change, without a round: most snapshots differ by them alone, and other nodes' pods shall be known
//! as soon as their addresses are.

use std::sync::Arc;

use ferrule_model::{
    desired::PeerKind,
    objects::{DiffItem, Objects},
};
use ferrule_source::store::Snapshot;

use super::Reconciler;
use crate::attachment;

impl Reconciler {
    /// Follows a snapshot that differs from the last one by pods alone; false where that takes a round.
    pub(super) async fn follow(&mut self, snapshot: &Arc<Snapshot>) -> bool {
        let before = Arc::clone(&self.state.borrow());
        let Some(known) = self.desired.clone().filter(|_| before.ready && !self.unfinished && snapshot.whole) else {
            return false;
        };
        if !self.keeper.holds(&known) || !self.knows_leases() {
            return false;
        }
        let config = &self.controllers.config;
        let (was, now) = (&self.snapshot.objects, &snapshot.objects);
        let Some((desired, steps)) = known.follow(was, now, &config.node_name, &self.leased) else { return false };
        let own = has_own(was, now, &config.node_name);
        let others = is_of_other_pods(&self.snapshot, snapshot, own);
        if steps.is_empty() && others {
            // Nothing for anybody to see.
            self.snapshot = Arc::clone(snapshot);
            return true;
        }
        let desired = Arc::new(desired);
        if let Err(error) = self.keeper.follow(&desired, &steps, &self.controllers.flows) {
            tracing::warn!(error, "pods of other nodes; a round tries again");
            self.unfinished = true;
            return false;
        }
        let mut state = (*before).clone();
        if own {
            state.claimed = Arc::new(attachment::claimed(now, &config.node_name));
        }
        let pods = |step: &ferrule_model::plan::Step| match *step {
            ferrule_model::plan::Step::SetPeer(address, _) => isize::from(!is_pod(&known, address)),
            ferrule_model::plan::Step::RemovePeer(address) => -isize::from(is_pod(&known, address)),
            _ => 0,
        };
        state.remote_pods = state.remote_pods.saturating_add_signed(steps.iter().map(pods).sum());
        if !others {
            state.issues = self.issues(&desired, snapshot).await;
        }
        state.desired = Some(Arc::clone(&desired));
        self.desired = Some(desired);
        self.snapshot = Arc::clone(snapshot);
        self.publish(&before, state);
        true
    }

    /// Whether the addresses that are leased are those that were computed with.
    fn knows_leases(&mut self) -> bool {
        let now = Some(self.controllers.attachments.lease_revision());
        if self.leases_seen != now {
            if self.leased != self.leased_now() {
                return false;
            }
            self.leases_seen = now;
        }
        true
    }
}

/// Whether what differs are other nodes' pods alone. What they change of what is wrong elsewhere, the next round tells: looking
/// at all policies at each of them would cost more than following them.
fn is_of_other_pods(before: &Snapshot, after: &Snapshot, own: bool) -> bool {
    let (was, now) = (&before.objects, &after.objects);
    !own && before.notes == after.notes
        && (Arc::ptr_eq(&before.refused, &after.refused) || before.refused == after.refused)
        && was.namespaces.ptr_eq(&now.namespaces)
        && was.policies.ptr_eq(&now.policies)
        && was.services.ptr_eq(&now.services)
        && was.endpoint_slices.ptr_eq(&now.endpoint_slices)
}

fn is_pod(desired: &ferrule_model::desired::Desired, address: std::net::IpAddr) -> bool {
    desired.remote.peers.get(&address).is_some_and(|peer| peer.kind == PeerKind::Pod)
}

/// Whether a pod of this node is among what differs.
fn has_own(before: &Objects, after: &Objects, node: &str) -> bool {
    before.pods.diff(&after.pods).any(|item| {
        let (old, new) = match item {
            DiffItem::Add(_, new) => (None, Some(new)),
            DiffItem::Update { old: (_, old), new: (_, new) } => (Some(old), Some(new)),
            DiffItem::Remove(_, old) => (Some(old), None),
        };
        old.into_iter().chain(new).any(|pod| pod.node.as_deref() == Some(node))
    })
}
