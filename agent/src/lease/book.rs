//! Leases in memory: who has what, and which rows change when that does. Decides; writes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ferrule_api::plugin::{AttachmentId, ReserveRequest, host_ifname};
use ferrule_model::{
    cidr::Family,
    ipam::{IpamError, Ledger, Pools, REST_MS},
};

use super::{Lease, LeaseError, Mac, State, database::Change};

/// What a reservation goes by.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// What may be leased: the node's pod CIDRs. Empty where all is delegated.
    pub pools: &'a Pools,
    /// The MTU of the attachment, in bytes.
    pub mtu: u32,
    /// The highest endpoint index that the maps have room for.
    pub endpoint_capacity: u32,
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// Whether something without a lease uses an address: a live link, a map entry. It must not call back into
    /// [`super::Leases`].
    pub is_held: &'a dyn Fn(IpAddr) -> bool,
    /// Whether something without a lease uses an endpoint index. The same holds.
    pub is_index_held: &'a dyn Fn(u32) -> bool,
}

/// Every lease, and what rests.
#[derive(Debug, Default)]
pub(super) struct Book {
    leases: BTreeMap<AttachmentId, Arc<Lease>>,
    ledger: Ledger,
    resting_indices: BTreeMap<u32, u64>,
}

impl Book {
    /// The book that the rows make up.
    ///
    /// # Errors
    /// A phrase that says which row is wrong, and why.
    pub(super) fn load(rows: Vec<(String, String)>, now_ms: u64) -> Result<Self, String> {
        let mut book = Self::default();
        for (key, value) in rows {
            let kind = key.split_once('/');
            let outcome = match kind {
                Some(("lease", _)) => book.enter(&value),
                Some(("rest", address)) => both(address, &value).map(|(ip, since)| book.ledger.rest(ip, since, now_ms)),
                Some(("index", index)) => {
                    both(index, &value).map(|(index, since)| _ = book.resting_indices.insert(index, since.min(now_ms)))
                }
                Some(("cursor", _)) => {
                    let cursor = value.parse().map_err(|_| format!("{value:?} is not an address"));
                    cursor.map(|cursor| book.ledger.resume(cursor))
                }
                _ => Err("unknown kind of row".to_owned()),
            };
            outcome.map_err(|reason| format!("row {key}: {reason}"))?;
        }
        Ok(book)
    }

    fn enter(&mut self, json: &str) -> Result<(), String> {
        let lease = Lease::from_json(json)?;
        self.ledger.take(&lease.addresses).map_err(|error| error.to_string())?;
        if let Some(other) = self.leases.values().find(|other| other.endpoint_index == lease.endpoint_index) {
            return Err(format!(
                "endpoint index {} is container {}'s too",
                lease.endpoint_index, other.id.container_id
            ));
        }
        self.leases.insert(lease.id.clone(), Arc::new(lease));
        Ok(())
    }

    /// A lease for the request, with the rows that change; none if the attachment has its lease already.
    pub(super) fn reserve(
        &mut self,
        request: &ReserveRequest,
        terms: &Terms<'_>,
        boot_id: &str,
    ) -> Result<(Arc<Lease>, Vec<Change>), LeaseError> {
        if let Some(lease) = self.leases.get(&request.id) {
            same(lease, request)?;
            return Ok((Arc::clone(lease), vec![]));
        }
        // Everything that can fail comes before anything that changes.
        let wanted = request.mac.as_deref().map(str::parse::<Mac>).transpose()?;
        let endpoint_index = self.free_index(terms)?;
        let foreign = request.enforce_only.as_ref();
        let foreign_mac = foreign.map(|side| side.mac.parse::<Mac>()).transpose()?;
        let addresses = self.addresses(request, terms)?;
        let (pod_mac, host_mac) = self.macs(&request.id, &addresses, wanted);
        let lease = Arc::new(Lease {
            id: request.id.clone(),
            netns: request.netns.clone(),
            boot_id: boot_id.to_owned(),
            network: request.network.clone(),
            pod: request.pod.clone(),
            delegated: request.delegated_ips.is_some(),
            enforce_only: foreign.is_some(),
            shaped: request.shaped,
            limits: request.bandwidth,
            pod_mac,
            host_mac: foreign_mac.unwrap_or(host_mac),
            host_ifname: foreign
                .map_or_else(|| host_ifname(&request.id.container_id, &request.id.ifname), |side| side.name.clone()),
            mtu: foreign.map_or(terms.mtu, |side| side.mtu),
            state: State::Reserved,
            host_ifindex: 0,
            endpoint_index,
            created_ms: terms.now_ms,
            addresses,
        });
        self.leases.insert(lease.id.clone(), Arc::clone(&lease));
        let mut changes = vec![put(&lease)];
        // It may have been resting, if it was asked for or the pool was short.
        changes.extend(lease.addresses.iter().map(|address| Change::Remove(rest_key(*address))));
        if !lease.delegated {
            for (family, key) in [(Family::V4, "cursor/4"), (Family::V6, "cursor/6")] {
                changes.extend(self.ledger.cursor(family).map(|cursor| Change::Put(key.into(), cursor.to_string())));
            }
        }
        self.wake(terms.now_ms, &mut changes);
        Ok((lease, changes))
    }

    /// The lease with its link, and the row that changes.
    pub(super) fn activate(
        &mut self,
        id: &AttachmentId,
        host_ifindex: u32,
    ) -> Result<(Arc<Lease>, Option<Change>), LeaseError> {
        let Some(lease) = self.leases.get_mut(id) else {
            return Err(LeaseError::Unknown { container_id: id.container_id.clone(), ifname: id.ifname.clone() });
        };
        if lease.state == State::Active && lease.host_ifindex == host_ifindex {
            return Ok((Arc::clone(lease), None));
        }
        *lease = Arc::new(Lease { state: State::Active, host_ifindex, ..Lease::clone(lease) });
        Ok((Arc::clone(lease), Some(put(lease))))
    }

    /// The lease that ends, and the rows that change.
    pub(super) fn release(&mut self, id: &AttachmentId, now_ms: u64) -> (Option<Arc<Lease>>, Vec<Change>) {
        let Some(lease) = self.leases.remove(id) else { return (None, vec![]) };
        self.ledger.release(&lease.addresses, now_ms);
        self.resting_indices.insert(lease.endpoint_index, now_ms);
        let mut changes = vec![Change::Remove(lease_key(id))];
        changes.extend(lease.addresses.iter().map(|address| Change::Put(rest_key(*address), now_ms.to_string())));
        changes.push(Change::Put(index_key(lease.endpoint_index), now_ms.to_string()));
        self.wake(now_ms, &mut changes);
        (Some(lease), changes)
    }

    pub(super) fn get(&self, id: &AttachmentId) -> Option<Arc<Lease>> {
        self.leases.get(id).cloned()
    }

    pub(super) fn list(&self) -> Vec<Arc<Lease>> {
        self.leases.values().cloned().collect()
    }

    pub(super) fn resting(&self, now_ms: u64) -> Vec<(IpAddr, u64)> {
        self.ledger.resting().filter(|(_, since)| rests(*since, now_ms)).collect()
    }

    /// The lowest endpoint index that no lease has and that does not rest.
    fn free_index(&self, terms: &Terms<'_>) -> Result<u32, LeaseError> {
        let used: BTreeSet<u32> = self.leases.values().map(|lease| lease.endpoint_index).collect();
        let resting = |index: &u32| self.resting_indices.get(index).is_some_and(|since| rests(*since, terms.now_ms));
        let capacity = terms.endpoint_capacity;
        let mut free =
            (1..=capacity).filter(|index| !used.contains(index) && !resting(index) && !(terms.is_index_held)(*index));
        free.next().ok_or(LeaseError::EndpointsFull { capacity, rest_s: REST_MS / 1000 })
    }

    /// The addresses of the request's lease, entered in the ledger.
    fn addresses(&mut self, request: &ReserveRequest, terms: &Terms<'_>) -> Result<Vec<IpAddr>, LeaseError> {
        let outcome = match &request.delegated_ips {
            Some(addresses) if addresses.is_empty() => return Err(LeaseError::NoDelegated),
            Some(addresses) => {
                let mut sorted = addresses.clone();
                sorted.sort();
                self.ledger.take(&sorted).map(|()| sorted)
            }
            None => self.ledger.lease(terms.pools, &request.requested_ips, terms.now_ms, terms.is_held),
        };
        outcome.map_err(|error| match error {
            IpamError::Taken { address } => match self.leases.values().find(|one| one.addresses.contains(&address)) {
                Some(holder) => LeaseError::Taken { address, container_id: holder.id.container_id.clone() },
                None => IpamError::Taken { address }.into(),
            },
            other => other.into(),
        })
    }

    /// The pod's MAC and the host side's, which no other lease of this node has unless it was asked for.
    fn macs(&self, id: &AttachmentId, addresses: &[IpAddr], wanted: Option<Mac>) -> (Mac, Mac) {
        let used: BTreeSet<Mac> = self.leases.values().flat_map(|lease| [lease.pod_mac, lease.host_mac]).collect();
        let derive = |side: &str, other: Option<Mac>| {
            let text = format!("{side} {} {} {addresses:?}", id.container_id, id.ifname);
            let mut attempts = (0..u32::MAX).map(|attempt| Mac::derived(&text, attempt));
            let free = attempts.find(|mac| !used.contains(mac) && Some(*mac) != other);
            free.unwrap_or_else(|| Mac::derived(&text, 0))
        };
        let pod = wanted.unwrap_or_else(|| derive("pod", None));
        (pod, derive("host", Some(pod)))
    }

    /// Forgets what has rested long enough.
    fn wake(&mut self, now_ms: u64, changes: &mut Vec<Change>) {
        changes.extend(self.ledger.wake(now_ms).into_iter().map(|address| Change::Remove(rest_key(address))));
        self.resting_indices.retain(|index, since| {
            let stays = rests(*since, now_ms);
            if !stays {
                changes.push(Change::Remove(index_key(*index)));
            }
            stays
        });
    }
}

/// Whether a request for an attachment that has a lease is a repetition of the one that got it.
fn same(lease: &Lease, request: &ReserveRequest) -> Result<(), LeaseError> {
    let (container_id, ifname) = (lease.id.container_id.clone(), lease.id.ifname.clone());
    if lease.netns != request.netns {
        let (held, asked) = (lease.netns.clone(), request.netns.clone());
        return Err(LeaseError::OtherNetns { container_id, ifname, held, asked });
    }
    let asked = request.enforce_only.as_ref().map(|side| side.name.as_str());
    if asked != lease.enforce_only.then_some(lease.host_ifname.as_str()) {
        let held = lease.host_ifname.clone();
        return Err(LeaseError::OtherLink { container_id, ifname, held });
    }
    let given = |addresses: &Vec<IpAddr>| addresses.iter().copied().collect::<BTreeSet<_>>();
    match &request.delegated_ips {
        Some(delegated) if given(delegated) != given(&lease.addresses) => {
            Err(LeaseError::OtherAddresses { container_id, ifname, held: lease.addresses.clone() })
        }
        _ => Ok(()),
    }
}

const fn rests(since: u64, now_ms: u64) -> bool {
    now_ms.saturating_sub(since) < REST_MS
}

/// Container ids and ifnames have no slash (CNI specification, "Parameters").
fn lease_key(id: &AttachmentId) -> String {
    format!("lease/{}/{}", id.container_id, id.ifname)
}

fn rest_key(address: IpAddr) -> String {
    format!("rest/{address}")
}

fn index_key(index: u32) -> String {
    format!("index/{index}")
}

fn put(lease: &Lease) -> Change {
    Change::Put(lease_key(&lease.id), lease.to_json())
}

/// Both parts of a row about something that rests: what, and since when.
fn both<T: std::str::FromStr>(what: &str, since: &str) -> Result<(T, u64), String> {
    let what = what.parse().map_err(|_| format!("{what:?} cannot be read"))?;
    Ok((what, since.parse().map_err(|_| format!("{since:?} is not a time"))?))
}
