//! Links that another plugin of a chain made: programs and map entries are ours, and all else is that plugin's. The link is
//! found by the name that it had at ADD, and is never changed or removed.

use ferrule_kernel::{
    bpf::{Direction, devices},
    net::{link, link::Device},
};
use netlink_packet_route::link::InfoKind;

use super::{AttachmentError, Attachments, blocking};
use crate::lease::Lease;

/// Whether policies can be enforced on a lease's link.
///
/// # Errors
/// Where it is another plugin's, and no veth.
pub(super) fn may_be(lease: &Lease, device: &Device) -> Result<(), AttachmentError> {
    if lease.enforce_only && device.kind != Some(InfoKind::Veth) {
        return Err(AttachmentError::NotVeth { name: device.name.clone() });
    }
    Ok(())
}

impl Attachments {
    /// Takes the programs off another plugin's link, where it is there still.
    pub(super) async fn let_go(&self, lease: &Lease) -> Result<(), AttachmentError> {
        let Some(device) = link::by_name(&self.net, &lease.host_ifname).await? else { return Ok(()) };
        blocking(move || {
            for direction in Direction::ALL {
                devices::detach_filters(&device.name, device.ifindex, direction)?;
            }
            Ok(())
        })
        .await
    }

    /// Whether a link is a pod's that another plugin made: by its lease, or by its map entry where the lease was lost.
    #[must_use]
    pub fn is_pod_link(&self, name: &str, ifindex: u32) -> bool {
        self.is_orphan(ifindex) || self.leases().iter().any(|lease| lease.enforce_only && lease.host_ifname == name)
    }
}
