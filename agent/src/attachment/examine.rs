//! What an attachment lacks, in words: the one comparison that CHECK, healing and `ferrule doctor` share.

use std::sync::Arc;

use ferrule_common::Program;
use ferrule_kernel::{
    bpf::Direction,
    net::{filter, host_side::source, link::Device, survey::Survey, sysctl},
};

use super::{AttachmentError, Attachments};
use crate::lease::Lease;

/// One difference between what an attachment needs and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// A phrase without a full stop.
    pub words: String,
    /// The agent can mend it; else the pod has to be made anew.
    pub mendable: bool,
}

impl Damage {
    pub(super) fn mendable(words: String) -> Self {
        Self { words, mendable: true }
    }
}

impl Attachments {
    /// Compares everything that an active attachment needs with the host as `survey` has it, and with maps and filters
    /// as they are now.
    ///
    /// # Errors
    /// Where maps or filters cannot be read.
    pub async fn examine(
        self: &Arc<Self>,
        lease: &Arc<Lease>,
        survey: &Survey,
    ) -> Result<Vec<Damage>, AttachmentError> {
        let Some(device) = survey.links.get(&lease.host_ifname) else {
            return Ok(vec![Damage { words: format!("the link {} is gone", lease.host_ifname), mendable: false }]);
        };
        if lease.enforce_only {
            let mut damage = self.compare_programs(lease, device).await?;
            damage.extend(self.compare_maps(lease, device.ifindex)?);
            return Ok(damage);
        }
        let mut damage = compare_link(lease, device);
        damage.extend(self.compare_programs(lease, device).await?);
        damage.extend(self.compare_limits(lease, device, survey).await?);
        damage.extend(self.compare_maps(lease, device.ifindex)?);
        for address in &lease.addresses {
            let wanted = source(self.sources(), *address);
            match survey.routes.get(&(*address, device.ifindex)) {
                Some(found) if *found == wanted => {}
                Some(_) => damage.push(Damage::mendable(format!(
                    "the node's route to {address} through {} names another source than {}",
                    device.name,
                    wanted.map_or("the kernel's choice".to_owned(), |source| source.to_string())
                ))),
                None => {
                    damage
                        .push(Damage::mendable(format!("the node has no route to {address} through {}", device.name)));
                }
            }
            if survey.neighbours.get(&(*address, device.ifindex)).is_none_or(|mac| *mac != lease.pod_mac.0) {
                damage.push(Damage::mendable(format!("the node has no neighbour entry for {address}, or another one")));
            }
        }
        let sysctls = sysctl::differences(&device.name);
        damage.extend(sysctls.into_iter().map(Damage::mendable));
        Ok(damage)
    }

    pub(super) async fn compare_programs(
        self: &Arc<Self>,
        lease: &Lease,
        device: &Device,
    ) -> Result<Vec<Damage>, AttachmentError> {
        let mut damage = Vec::new();
        for (program, direction) in [(Program::FromPod, Direction::Ingress), (Program::ToPod, Direction::Egress)] {
            let attached = if lease.shaped {
                self.programs().is_attached(program, &device.name, device.ifindex, direction)?
            } else {
                let wanted = self.programs().id(program)?;
                if lease.enforce_only {
                    filter::runs(&self.net, device.ifindex, direction, wanted).await?
                } else {
                    filter::program(&self.net, device.ifindex, direction).await? == Some(wanted)
                }
            };
            if !attached {
                damage.push(Damage::mendable(format!("{} is not attached to {}", program.name(), device.name)));
            }
        }
        Ok(damage)
    }

    fn compare_maps(&self, lease: &Lease, ifindex: u32) -> Result<Vec<Damage>, AttachmentError> {
        let word = self.policy.difference(lease.endpoint_index).map_err(|source| AttachmentError::Map { source })?;
        let pod = self.local_pod(lease, ifindex);
        let differences = self.maps().differences(&pod);
        Ok(differences.into_iter().chain(word).map(Damage::mendable).collect())
    }
}

fn compare_link(lease: &Lease, device: &Device) -> Vec<Damage> {
    let name = &device.name;
    let mut damage = Vec::new();
    if !device.up {
        damage.push(Damage::mendable(format!("the link {name} is down")));
    }
    if device.mac != lease.host_mac.0 {
        damage.push(Damage::mendable(format!("the link {name} has another MAC than {}", lease.host_mac)));
    }
    if device.mtu != lease.mtu {
        damage.push(Damage::mendable(format!("the link {name} has MTU {} and not {}", device.mtu, lease.mtu)));
    }
    damage
}
