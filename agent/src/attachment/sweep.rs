//! What nobody needs any more: leases of pods that are gone, and links and map entries without a lease.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::Instant,
};

use ferrule_api::{chain::chain, plugin::AttachmentId};
use ferrule_kernel::net::{limits, link, own, survey::Survey};

use super::{AttachmentError, Attachments, held::orphan};
use crate::lease::Lease;

impl Attachments {
    /// Ends leases whose netns and link are both gone, or that another boot made.
    pub(super) async fn end_stale(self: &Arc<Self>, survey: &Survey) -> Vec<String> {
        let mut errors = Vec::new();
        for lease in self.stale(survey) {
            let _turn = self.turn(&lease.id).await;
            // Asked again, now that no ADD of it goes on: it may be another lease, and its link may have been made since the
            // links were listed.
            let same = self.leases.get(&lease.id).is_some_and(|now| now == lease);
            if !same || matches!(link::by_name(&self.net, &lease.host_ifname).await, Ok(Some(_))) {
                continue;
            }
            tracing::info!(pod = who(&lease), addresses = ?lease.addresses, "ending a lease whose pod is gone");
            errors.extend(self.release_in_turn(&lease.id).await.err().map(|error| chain(&error)));
        }
        errors
    }

    fn stale(&self, survey: &Survey) -> Vec<Arc<Lease>> {
        // A netns that this mount namespace cannot see may live: its link then tells.
        let alive = |lease: &Lease| {
            survey.links.contains_key(&lease.host_ifname) || std::path::Path::new(&lease.netns).exists()
        };
        let mut stale = self.leases.stale(&alive);
        // Those of another boot have no ADD that goes on.
        let own: Vec<AttachmentId> =
            stale.iter().filter(|lease| lease.boot_id == self.leases.boot_id()).map(|lease| lease.id.clone()).collect();
        let looks = self
            .suspects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .look(&own.iter().collect::<Vec<_>>(), Instant::now());
        let spared: HashSet<&AttachmentId> =
            own.iter().zip(looks).filter(|(_, abandoned)| !abandoned).map(|(id, _)| id).collect();
        stale.retain(|lease| !spared.contains(&lease.id));
        let gone = self.leases().into_iter().filter(|lease| lease.is_active() && !alive(lease));
        stale.extend(gone);
        stale
    }

    /// Removes what no lease knows: entries, then links of our names. A lease comes before its link, and goes after it.
    pub(super) async fn sweep(self: &Arc<Self>, survey: &Survey) -> Vec<String> {
        let leases = self.leases();
        let leased: HashSet<IpAddr> = leases.iter().flat_map(|lease| lease.addresses.iter().copied()).collect();
        let names: HashSet<&str> = leases.iter().map(|lease| lease.host_ifname.as_str()).collect();
        let swept = self.sweep_maps(&leased, &names, survey).await;
        let mut errors: Vec<String> = swept.err().map(|error| chain(&error)).into_iter().collect();
        for (name, link) in
            survey.links.iter().filter(|(name, _)| own::is_pod_link(name) && !names.contains(name.as_str()))
        {
            if self.is_orphan(link.ifindex) {
                errors.push(orphan(name, &self.addresses_of(link.ifindex)));
                continue;
            }
            // Asked again: the container may have been added anew since.
            if self.leases().iter().any(|lease| lease.host_ifname == *name) {
                continue;
            }
            tracing::info!(link = name, "removing a link without a lease");
            errors.extend(self.remover.remove(name).await.err().map(|error| chain(&error)));
        }
        for (name, link) in
            survey.links.iter().filter(|(name, _)| !own::is_pod_link(name) && !names.contains(name.as_str()))
        {
            if self.is_orphan(link.ifindex) {
                errors.push(orphan(name, &self.addresses_of(link.ifindex)));
            }
        }
        for name in survey.links.keys().filter_map(|name| own::ifb_owner(name)) {
            // A pod whose lease was lost goes on, and needs it.
            if !survey.links.contains_key(&name) && !self.leases().iter().any(|lease| lease.host_ifname == name) {
                errors.extend(limits::remove(&self.net, &name).await.err().map(|error| chain(&error)));
            }
        }
        errors
    }

    /// Removes entries of addresses without a lease, unless their link stands and has none either; and of links that are
    /// gone.
    async fn sweep_maps(
        self: &Arc<Self>,
        leased: &HashSet<IpAddr>,
        names: &HashSet<&str>,
        survey: &Survey,
    ) -> Result<(), AttachmentError> {
        let failed = |source| AttachmentError::Map { source };
        // Leases are asked without the maps' lock: a reservation takes the two the other way round.
        let (endpoints, known) = {
            let maps = self.maps();
            (maps.endpoints().map_err(failed)?, maps.links().map_err(failed)?)
        };
        let orphans: HashSet<u32> =
            survey.links.values().filter(|link| !names.contains(link.name.as_str())).map(|link| link.ifindex).collect();
        for (address, entry) in endpoints.into_iter().filter(|(_, entry)| !orphans.contains(&entry.ifindex)) {
            // Asked again, since a lease may be new.
            if !leased.contains(&address) && !self.leases().iter().any(|lease| lease.addresses.contains(&address)) {
                self.maps().remove(entry.ifindex, &[address]).map_err(failed)?;
            }
        }
        for ifindex in known.into_iter().filter(|ifindex| !survey.has(*ifindex)) {
            // Asked again, since a link may be new.
            if link::by_index(&self.net, ifindex).await?.is_none() {
                self.forget_link(ifindex).await?;
            }
        }
        Ok(())
    }

    /// The addresses that the maps lead to a link.
    fn addresses_of(&self, ifindex: u32) -> Vec<IpAddr> {
        let entries = self.maps().endpoints().unwrap_or_default();
        entries.into_iter().filter(|(_, entry)| entry.ifindex == ifindex).map(|(address, _)| address).collect()
    }
}

/// The pod as operators know it, else its container.
pub(crate) fn who(lease: &Lease) -> String {
    match &lease.pod {
        Some(pod) => format!("pod {}/{}", pod.namespace, pod.name),
        None => format!("container {} {}", lease.id.container_id, lease.id.ifname),
    }
}
