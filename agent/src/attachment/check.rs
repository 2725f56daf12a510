//! What CHECK asks of the agent: lease, link, programs, routes and map entries of one attachment.

use std::{net::IpAddr, sync::Arc};

use ferrule_cni::api::CheckRequest;
use ferrule_common::Program;

use super::{AttachmentError, Attachments, blocking, is_active};
use crate::{
    bpf::Direction,
    lease::Lease,
    net::{filter, link, route},
};

impl Attachments {
    /// Compares everything that an attachment needs with what is there.
    ///
    /// # Errors
    /// [`AttachmentError::Damaged`] with a sentence for each difference.
    pub async fn check(self: &Arc<Self>, request: &CheckRequest) -> Result<(), AttachmentError> {
        let _turn = self.turn(&request.id).await;
        let lease = self.lease(&request.id)?;
        let mut damage = Vec::new();
        compare_lease(&lease, request, &mut damage);
        match link::by_name(&self.net, &lease.host_ifname).await? {
            None => damage.push(format!("the link {} is gone", lease.host_ifname)),
            Some(device) => {
                if !device.up {
                    damage.push(format!("the link {} is down", device.name));
                }
                if device.mac != lease.host_mac.0 {
                    damage.push(format!("the link {} has another MAC than {}", device.name, lease.host_mac));
                }
                self.compare_programs(&device, &mut damage).await?;
                self.compare_maps(&lease, device.ifindex, &mut damage);
                for address in &lease.addresses {
                    if !route::leads_to(&self.net, *address, device.ifindex).await? {
                        damage.push(format!("the node has no route to {address} through {}", device.name));
                    }
                }
            }
        }
        if damage.is_empty() { Ok(()) } else { Err(AttachmentError::Damaged(damage)) }
    }

    async fn compare_programs(
        self: &Arc<Self>,
        device: &link::Device,
        damage: &mut Vec<String>,
    ) -> Result<(), AttachmentError> {
        for (program, direction) in [(Program::FromPod, Direction::Ingress), (Program::ToPod, Direction::Egress)] {
            let all = Arc::clone(self);
            let wanted = blocking(move || Ok(all.programs().id(program)?)).await?;
            if filter::program(&self.net, device.ifindex, direction).await? != Some(wanted) {
                damage.push(format!("{} is not attached to {}", program.name(), device.name));
            }
        }
        Ok(())
    }

    fn compare_maps(&self, lease: &Lease, ifindex: u32, damage: &mut Vec<String>) {
        let maps = self.maps();
        let whole = |ip: &IpAddr| {
            maps.endpoint(*ip).is_some_and(|entry| {
                entry.ifindex == ifindex && entry.index == lease.endpoint_index && entry.mac.octets == lease.pod_mac.0
            })
        };
        for address in lease.addresses.iter().filter(|ip| !whole(ip)) {
            damage.push(format!("fr_endpoints has no entry for {address}, or another one"));
        }
        if maps.link(ifindex).is_none_or(|entry| entry.index != lease.endpoint_index) {
            damage.push(format!("fr_links has no entry for {ifindex}, or another one"));
        }
        if maps.source(lease.endpoint_index).is_none_or(|entry| entry.ifindex != ifindex) {
            damage.push(format!("fr_sources has no entry for {}, or another one", lease.endpoint_index));
        }
    }
}

fn compare_lease(lease: &Lease, request: &CheckRequest, damage: &mut Vec<String>) {
    if !is_active(lease) {
        damage.push("its ADD did not end".into());
    }
    if lease.netns != request.netns {
        damage.push(format!("its netns is {} and not {}", lease.netns, request.netns));
    }
    for address in request.addresses.iter().filter(|ip| !lease.addresses.contains(ip)) {
        damage.push(format!("{address} is not leased to it"));
    }
}
