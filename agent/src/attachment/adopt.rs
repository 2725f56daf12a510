//! What a former agent left, or somebody damaged: brought to what the leases say.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use super::{AttachmentError, Attachments, is_active, now_ms};
use crate::{lease::Lease, net::link, reconcile::chain};

impl Attachments {
    /// One round: ends leases that nobody can need, connects live ones whose programs are not this agent's or whose
    /// link is another by now, removes links and map entries without a lease. Gives a sentence for each failure.
    pub async fn adopt(self: &Arc<Self>) -> Vec<String> {
        let mut errors = Vec::new();
        self.apply_notes().await;
        // Activations reach the disk with the next transaction, or now.
        errors.extend(self.leases.flush(now_ms()).err().map(|error| chain(&error)));
        let links = match link::all(&self.net).await {
            Ok(links) => links,
            Err(error) => return vec![chain(&error)],
        };
        for lease in self.stale(&links) {
            // Asked again: its link may have been made since the links were listed.
            if matches!(link::by_name(&self.net, &lease.host_ifname).await, Ok(Some(_))) {
                continue;
            }
            tracing::info!(container = lease.id.container_id, addresses = ?lease.addresses, "ending a lease whose pod is gone");
            if let Err(error) = self.release(&lease.id).await {
                errors.push(chain(&error));
            }
        }
        if !self.resumed.swap(true, Ordering::Relaxed) {
            errors.extend(self.resume(&links));
        }
        let devices: HashMap<&str, &link::Device> = links.iter().map(|link| (link.name.as_str(), link)).collect();
        for lease in self.leases().into_iter().filter(|lease| is_active(lease)) {
            let connected = match devices.get(lease.host_ifname.as_str()) {
                Some(device) => self.reconnect(&lease, device.ifindex).await,
                None => self.disconnect(&lease).await,
            };
            errors.extend(connected.err());
        }
        errors.extend(self.sweep(&links).await);
        errors
    }

    /// At an agent's start: a lease that is merely reserved and has its link was activated, and a crash lost the word;
    /// or its ADD goes on, and activates it again.
    fn resume(&self, links: &[link::Device]) -> Vec<String> {
        let resume = |lease: Arc<Lease>| {
            let device = links.iter().find(|link| link.name == lease.host_ifname)?;
            self.leases.activate(&lease.id, device.ifindex, now_ms()).err().map(|error| chain(&error))
        };
        self.leases().into_iter().filter(|lease| !is_active(lease)).filter_map(resume).collect()
    }

    /// Leases whose netns and link are both gone, or that another boot made.
    fn stale(&self, links: &[link::Device]) -> Vec<Arc<Lease>> {
        let names: HashSet<&str> = links.iter().map(|link| link.name.as_str()).collect();
        // A netns that this mount namespace cannot see may live: its link then tells.
        let alive =
            |lease: &Lease| names.contains(lease.host_ifname.as_str()) || std::path::Path::new(&lease.netns).exists();
        let mut stale = self.leases.stale(&alive);
        let gone = self.leases().into_iter().filter(|lease| is_active(lease) && !alive(lease));
        stale.extend(gone);
        stale.dedup_by(|a, b| a.id == b.id);
        stale
    }

    /// Connects a live attachment anew where something of it is missing.
    async fn reconnect(self: &Arc<Self>, lease: &Arc<Lease>, ifindex: u32) -> Result<(), String> {
        if self.is_whole(lease, ifindex) {
            return Ok(());
        }
        let _turn = self.turn(&lease.id).await;
        // Asked again with the turn: it may have gone since it was listed, and its link with it.
        let Some(lease) = self.leases.get(&lease.id).filter(|lease| is_active(lease)) else { return Ok(()) };
        let device = link::by_name(&self.net, &lease.host_ifname).await.map_err(|error| chain(&error))?;
        let Some(ifindex) = device.map(|device| device.ifindex) else { return Ok(()) };
        if self.is_whole(&lease, ifindex) {
            return Ok(());
        }
        self.connect(&lease, ifindex).await.map_err(|error| chain(&error))?;
        if lease.host_ifindex != ifindex {
            self.leases.activate(&lease.id, ifindex, now_ms()).map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    /// Forgets the map entries of an attachment whose link is gone, so that its addresses are unreachable and do not
    /// swallow packets.
    async fn disconnect(self: &Arc<Self>, lease: &Arc<Lease>) -> Result<(), String> {
        if !lease.addresses.iter().any(|ip| self.maps().endpoint(*ip).is_some()) {
            return Ok(());
        }
        let _turn = self.turn(&lease.id).await;
        match link::by_name(&self.net, &lease.host_ifname).await {
            Ok(None) => self.forget(lease).await.map_err(|error| chain(&error)),
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(chain(&error)),
        }
    }

    /// Its programs are this agent's, and the maps know it.
    fn is_whole(&self, lease: &Lease, ifindex: u32) -> bool {
        self.attached().get(&lease.id) == Some(&ifindex) && self.is_mapped(lease, ifindex)
    }

    fn is_mapped(&self, lease: &Lease, ifindex: u32) -> bool {
        self.maps().holds(&super::local_pod(lease, ifindex))
    }

    /// Removes what no lease knows: entries, then links of our names. A lease comes before its link, and goes after it.
    async fn sweep(self: &Arc<Self>, links: &[link::Device]) -> Vec<String> {
        let mut errors = Vec::new();
        let leases = self.leases();
        let leased: HashSet<IpAddr> = leases.iter().flat_map(|lease| lease.addresses.iter().copied()).collect();
        let names: HashSet<&str> = leases.iter().map(|lease| lease.host_ifname.as_str()).collect();
        let swept = self.sweep_maps(&leased, links).await;
        errors.extend(swept.err().map(|error| chain(&error)));
        for link in links.iter().filter(|link| is_ours(&link.name) && !names.contains(link.name.as_str())) {
            // Asked again: the container may have been added anew since.
            if self.leases().iter().any(|lease| lease.host_ifname == link.name) {
                continue;
            }
            tracing::info!(link = link.name, "removing a link without a lease");
            if let Err(error) = self.remover.remove(&link.name).await {
                errors.push(chain(&error));
            }
        }
        errors
    }
}

impl Attachments {
    /// Removes entries of addresses without a lease, and of links that are gone.
    async fn sweep_maps(
        self: &Arc<Self>,
        leased: &HashSet<IpAddr>,
        links: &[link::Device],
    ) -> Result<(), AttachmentError> {
        let failed = |source| AttachmentError::Map { source };
        // Leases are asked without the maps' lock: a reservation takes the two the other way round.
        let (endpoints, known) = {
            let maps = self.maps();
            (maps.endpoints().map_err(failed)?, maps.links().map_err(failed)?)
        };
        for (address, entry) in endpoints {
            // Asked again, since a lease may be new.
            if !leased.contains(&address) && !self.leases().iter().any(|lease| lease.addresses.contains(&address)) {
                self.maps().remove(entry.ifindex, &[address]).map_err(failed)?;
            }
        }
        for ifindex in known.into_iter().filter(|ifindex| links.iter().all(|link| link.ifindex != *ifindex)) {
            // Asked again, since a link may be new.
            if link::by_index(&self.net, ifindex).await?.is_none() {
                self.maps().remove(ifindex, &[]).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// `fr` and eleven hex digits, as `ferrule_cni::api::host_ifname` makes them.
pub(crate) fn is_ours(name: &str) -> bool {
    name.strip_prefix("fr").is_some_and(|hash| {
        hash.len() == 11 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}
