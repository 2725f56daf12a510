//! The first half of an ADD: addresses, an index and names for an attachment.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_api::plugin::{ReserveRequest, ReserveResponse, ReservedAddress};
use ferrule_common::{layout, settings};
use ferrule_model::{desired::fits, ipam::Pools};
use ipnetwork::IpNetwork;

use super::{AttachmentError, Attachments, blocking, now_ms};
use crate::{
    lease::{LeaseError, Terms},
    state::NodeState,
};

/// How long a reservation waits for the node to be ready; less than the plugin waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(8);

impl Attachments {
    /// Leases addresses and an index, and names the veth's parts. Idempotent.
    ///
    /// # Errors
    /// While the node is not ready, and where no lease can be had.
    pub async fn reserve(self: &Arc<Self>, mut request: ReserveRequest) -> Result<ReserveResponse, AttachmentError> {
        let asked = Instant::now();
        let state = self.ready().await?;
        self.object_known(request.pod.as_ref(), asked).await?;
        if state.pod_cidrs.is_empty() && request.delegated_ips.is_none() {
            return Err(AttachmentError::NoPodCidr);
        }
        // Of the node's own pod CIDRs it is not ready where they do not fit.
        let delegated: Vec<IpNetwork> = request.delegated_ips.iter().flatten().map(|ip| IpNetwork::from(*ip)).collect();
        fits(state.mtu, delegated.iter())?;
        self.share_shaping(&mut request)?;
        self.apply_notes().await;
        let _turn = self.turn(&request.id).await;
        let all = Arc::clone(self);
        let lease = blocking(move || {
            let pools = match request.delegated_ips {
                Some(_) if state.pod_cidrs.is_empty() => Pools::default(),
                _ => Pools::new(&state.pod_cidrs).map_err(LeaseError::from)?,
            };
            let held = |ip| all.is_held(ip, request.pod.as_ref());
            let index_held = |index| all.is_index_held(index);
            let terms = Terms {
                pools: &pools,
                mtu: state.mtu,
                endpoint_capacity: layout::LINKS - 1,
                now_ms: now_ms(),
                is_held: &held,
                is_index_held: &index_held,
            };
            Ok(all.leases.reserve(&request, &terms)?.0)
        })
        .await?;
        self.leases_changed();
        Ok(ReserveResponse {
            host_ifname: lease.host_ifname.clone(),
            host_mac: lease.host_mac.to_string(),
            pod_mac: lease.pod_mac.to_string(),
            mtu: lease.mtu,
            addresses: lease
                .addresses
                .iter()
                .map(|ip| ReservedAddress { address: IpNetwork::from(*ip), gateway: gateway(*ip) })
                .collect(),
        })
    }

    /// The node's state, once it is ready: an agent that was just started is, in a moment.
    async fn ready(&self) -> Result<Arc<NodeState>, AttachmentError> {
        let mut states = self.state.clone();
        match tokio::time::timeout(PATIENCE, states.wait_for(|state| state.ready)).await {
            Ok(Ok(state)) => Ok(Arc::clone(&state)),
            _ => {
                let waiting = self.state.borrow().waiting.clone();
                let unread = || "the source of Kubernetes objects has not been read yet".into();
                Err(AttachmentError::NotReady(waiting.unwrap_or_else(unread)))
            }
        }
    }
}

const fn gateway(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(
            settings::GATEWAY_V4[0],
            settings::GATEWAY_V4[1],
            settings::GATEWAY_V4[2],
            settings::GATEWAY_V4[3],
        )),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_octets(settings::GATEWAY_V6)),
    }
}
