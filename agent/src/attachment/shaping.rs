//! Who limits a pod's bandwidth: the chained plugin `bandwidth`, beside TCX links, or the agent itself, beside clsact.

use ferrule_api::plugin::{Bandwidth, ReserveRequest, Shaper};
use ferrule_kernel::net::{
    limits,
    limits::{Asked, Limits},
    link::Device,
    survey::Survey,
};

use super::{AttachmentError, Attachments, examine::Damage};
use crate::lease::Lease;

impl Attachments {
    /// Decides it: `shaped` remains where the plugin does it, the limits where the agent does.
    ///
    /// # Errors
    /// Where nobody can.
    pub(super) fn share_shaping(&self, request: &mut ReserveRequest) -> Result<(), AttachmentError> {
        if !request.shaped || request.enforce_only.is_some() {
            request.shaped = false;
            request.bandwidth = None;
            return Ok(());
        }
        let tcx = self.programs().is_by_tcx();
        request.shaped = is_chained(tcx, &request.shaper, request.bandwidth.is_some())?;
        if request.shaped {
            request.bandwidth = None;
        }
        Ok(())
    }

    /// Sets the limits that are the agent's to set.
    pub(super) async fn limit(&self, lease: &Lease, ifindex: u32) -> Result<(), AttachmentError> {
        let Some(asked) = &lease.limits else { return Ok(()) };
        Ok(limits::ensure(&self.net, &lease.host_ifname, ifindex, &of(asked, lease.mtu)).await?)
    }

    /// What such limits lack.
    pub(super) async fn compare_limits(
        &self,
        lease: &Lease,
        device: &Device,
        survey: &Survey,
    ) -> Result<Vec<Damage>, AttachmentError> {
        let Some(asked) = &lease.limits else { return Ok(vec![]) };
        let found = limits::differences(&self.net, device, &of(asked, lease.mtu), survey).await?;
        Ok(found.into_iter().map(Damage::mendable).collect())
    }
}

/// Whether the limits are left to the chained plugin.
fn is_chained(tcx: bool, shaper: &Shaper, told: bool) -> Result<bool, AttachmentError> {
    match shaper {
        Shaper::Chained(_) | Shaper::Unknown if tcx => Ok(true),
        Shaper::Chained(file) => {
            let without = if ferrule_kernel::bpf::has_tcx() {
                "--attach clsact"
            } else {
                "which this kernel lacks: it came with Linux 6.6"
            };
            Err(AttachmentError::Chained { file: file.clone(), without })
        }
        Shaper::Nobody | Shaper::Unknown if told => Ok(false),
        Shaper::Nobody | Shaper::Unknown => Err(AttachmentError::NoLimits),
    }
}

/// What the runtime asked for, as the kernel takes it.
fn of(asked: &Bandwidth, mtu: u32) -> Limits {
    let to_pod = Asked { rate_bits: asked.ingress_rate, burst_bits: asked.ingress_burst };
    let from_pod = Asked { rate_bits: asked.egress_rate, burst_bits: asked.egress_burst };
    Limits::of(to_pod, from_pod, mtu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tcx: bool, shaper: Shaper, told: bool, expected: &str) {
        let found = match is_chained(tcx, &shaper, told) {
            Ok(true) => "plugin".to_owned(),
            Ok(false) => "agent".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "TCX {tcx}, {shaper:?}, told {told}: {found}");
    }

    #[test]
    fn beside_tcx_a_chained_plugin_sets_the_limits_and_else_the_agent_does() {
        check(true, Shaper::Chained("/l".into()), true, "plugin");
        check(true, Shaper::Unknown, true, "plugin");
        check(true, Shaper::Nobody, true, "agent");
    }

    #[test]
    fn without_tcx_the_agent_sets_them_and_the_chained_plugin_is_refused_by_name() {
        check(false, Shaper::Nobody, true, "agent");
        check(false, Shaper::Unknown, true, "agent");
        check(
            false,
            Shaper::Chained("/etc/cni/net.d/05.conflist".into()),
            true,
            "05.conflist chains the plugin `bandwidth`",
        );
    }

    #[test]
    fn an_older_plugin_that_tells_no_limits_is_told_so_where_they_are_needed() {
        check(true, Shaper::Unknown, false, "plugin");
        check(false, Shaper::Unknown, false, "older than this agent");
    }
}
