//! The second half of an ADD: the link that the plugin made gets programs, map entries and routes.

use std::sync::Arc;

use ferrule_api::plugin::ActivateRequest;
use ferrule_kernel::{bpf::endpoint_maps::LocalPod, net, net::link};

use super::{AttachmentError, Attachments, blocking, chained, now_ms, subject};
use crate::lease::{Lease, LeaseError};

impl Attachments {
    /// Puts programs on the host side, publishes the addresses and leads routes there. Idempotent.
    ///
    /// # Errors
    /// Where there is no such lease or link, or the kernel refuses; what was done is undone.
    pub async fn activate(self: &Arc<Self>, request: ActivateRequest) -> Result<(), AttachmentError> {
        let _turn = self.turn(&request.id).await;
        let lease = self.lease(&request.id)?;
        if lease.netns != request.netns {
            return Err(LeaseError::OtherNetns {
                container_id: lease.id.container_id.clone(),
                ifname: lease.id.ifname.clone(),
                held: lease.netns.clone(),
                asked: request.netns,
            }
            .into());
        }
        let device = link::by_index(&self.net, request.host_ifindex).await?;
        match device {
            Some(device) if device.name == lease.host_ifname => chained::may_be(&lease, &device)?,
            _ => return Err(AttachmentError::NoLink { name: lease.host_ifname.clone() }),
        }
        if let Err(error) = self.connect(&lease, request.host_ifindex).await {
            if !lease.is_active() {
                // The routes and filters go with the link, which the plugin removes.
                let _ = self.maps().remove(request.host_ifindex, &lease.addresses);
                let _ = self.policy.forget(lease.endpoint_index);
            }
            return Err(error);
        }
        self.leases.activate(&request.id, request.host_ifindex, now_ms())?;
        Ok(())
    }

    /// Programs, then limits, then map entries, then routes: no packet is let in before it is judged.
    pub(super) async fn connect(self: &Arc<Self>, lease: &Arc<Lease>, ifindex: u32) -> Result<(), AttachmentError> {
        let (all, own) = (Arc::clone(self), Arc::clone(lease));
        blocking(move || {
            if own.enforce_only {
                all.programs().attach_chained(&own.host_ifname, ifindex, own.endpoint_index)?;
            } else if own.shaped {
                all.programs().attach_shaped(&own.host_ifname, ifindex)?;
            } else {
                all.programs().attach_pod(&own.host_ifname, own.endpoint_index)?;
            }
            Ok(())
        })
        .await?;
        self.limit(lease, ifindex).await?;
        self.policy.synced().await?;
        let (all, own) = (Arc::clone(self), Arc::clone(lease));
        blocking(move || {
            all.owners.know(&own.netns);
            all.policy.install(own.endpoint_index, subject(&own))?;
            let pod = all.local_pod(&own, ifindex);
            let endpoints = all.tenants().endpoints();
            let mut maps = all.maps();
            // Its reserve first.
            maps.share_out(endpoints).map_err(|source| AttachmentError::Map { source })?;
            maps.insert(&pod).map_err(|source| AttachmentError::Map { source })
        })
        .await?;
        if lease.enforce_only {
            return Ok(());
        }
        let mac = lease.pod_mac.0;
        let name = &lease.host_ifname;
        net::host_side::ensure(&self.net, name, ifindex, mac, &lease.addresses, self.sources()).await?;
        Ok(())
    }

    /// An attachment as the maps have it.
    pub(super) fn local_pod(&self, lease: &Lease, ifindex: u32) -> LocalPod {
        let index = lease.endpoint_index;
        let former = self.maps().source(index).map(|source| source.tenant);
        let namespace = lease.pod.as_ref().map_or("", |pod| pod.namespace.as_str());
        LocalPod {
            index,
            ifindex,
            mtu: lease.mtu,
            mac: lease.pod_mac.0,
            host_mac: lease.host_mac.0,
            addresses: lease.addresses.clone(),
            via_stack: lease.shaped || lease.limits.is_some(),
            chained: lease.enforce_only,
            tenant: self.tenants().enter(index, namespace, former),
        }
    }
}
