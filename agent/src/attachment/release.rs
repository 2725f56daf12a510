//! A DEL: map entries, then the link, then the lease.

use std::{net::IpAddr, sync::Arc};

use ferrule_api::{
    chain::chain,
    plugin::{AttachmentId, GcRequest, GcResponse},
};
use ferrule_kernel::{net, net::link};

use super::{AttachmentError, Attachments, blocking, now_ms};
use crate::lease::Lease;

impl Attachments {
    /// Removes all of an attachment, but not another plugin's link; one that is not known is fine.
    ///
    /// # Errors
    /// The first failure, after trying everything; the lease then stands.
    pub async fn release(self: &Arc<Self>, id: &AttachmentId) -> Result<(), AttachmentError> {
        let _turn = self.turn(id).await;
        self.release_in_turn(id).await
    }

    /// [`Self::release`] for a caller who has the attachment's turn.
    pub(super) async fn release_in_turn(self: &Arc<Self>, id: &AttachmentId) -> Result<(), AttachmentError> {
        let lease = self.leases.get(id);
        let name = ferrule_api::plugin::host_ifname(&id.container_id, &id.ifname);
        if let Some(lease) = &lease {
            // An entry whose device has gone would swallow packets: entries first.
            self.forget(lease).await?;
        }
        if let Some(lease) = lease.as_ref().filter(|lease| lease.enforce_only) {
            self.let_go(lease).await?;
        }
        if lease.is_none()
            && let Some(link) = link::by_name(&self.net, &name).await?
        {
            // Its lease was lost.
            self.forget_link(link.ifindex).await?;
        }
        self.remover.remove(&name).await?;
        if lease.as_ref().is_none_or(|lease| lease.limits.is_some()) {
            net::limits::remove(&self.net, &name).await?;
        }
        if lease.is_some() {
            let (all, id) = (Arc::clone(self), id.clone());
            let index = lease.as_ref().map(|lease| lease.endpoint_index);
            blocking(move || {
                // Before anybody may be given its index.
                index.into_iter().for_each(|index| all.tenants().leave(index));
                all.leases.release(&id, now_ms())?;
                let endpoints = all.tenants().endpoints();
                all.maps().share_out(endpoints).map_err(|source| AttachmentError::Map { source })
            })
            .await?;
            self.leases_changed();
        }
        Ok(())
    }

    /// Removes a lease's map entries, by the interface index that the maps themselves name.
    pub(super) async fn forget(self: &Arc<Self>, lease: &Arc<Lease>) -> Result<(), AttachmentError> {
        let (all, lease) = (Arc::clone(self), Arc::clone(lease));
        blocking(move || {
            let mut maps = all.maps();
            let mut ifindices = vec![lease.host_ifindex];
            let own = |ip: &IpAddr| maps.endpoint(*ip).filter(|entry| entry.index == lease.endpoint_index);
            ifindices.extend(lease.addresses.iter().filter_map(own).map(|entry| entry.ifindex));
            ifindices.sort_unstable();
            ifindices.dedup();
            for ifindex in ifindices.into_iter().filter(|ifindex| *ifindex != 0) {
                maps.remove(ifindex, &lease.addresses).map_err(|source| AttachmentError::Map { source })?;
            }
            drop(maps);
            Ok(all.policy.forget(lease.endpoint_index)?)
        })
        .await
    }

    /// Removes all map entries of a link.
    pub(super) async fn forget_link(self: &Arc<Self>, ifindex: u32) -> Result<(), AttachmentError> {
        let all = Arc::clone(self);
        blocking(move || {
            let failed = |source| AttachmentError::Map { source };
            let mut maps = all.maps();
            let entries = maps.endpoints().map_err(failed)?.into_iter();
            let addresses: Vec<IpAddr> =
                entries.filter(|(_, entry)| entry.ifindex == ifindex).map(|(address, _)| address).collect();
            maps.remove(ifindex, &addresses).map_err(failed)
        })
        .await
    }

    /// Releases every attachment of a network that is not listed.
    pub async fn gc(self: &Arc<Self>, request: &GcRequest) -> GcResponse {
        let mut response = GcResponse::default();
        for lease in self.leases.list() {
            if lease.network != request.network || request.valid.contains(&lease.id) {
                continue;
            }
            match self.release(&lease.id).await {
                Ok(()) => response.removed.push(lease.id.clone()),
                Err(error) => response.errors.push(format!(
                    "container {} {}: {}",
                    lease.id.container_id,
                    lease.id.ifname,
                    chain(&error)
                )),
            }
        }
        response
    }
}
