//! Pods of this node, from their ADD to their DEL: leases, host sides of veths, programs on them, entries in the maps.
//!
//! ```text
//! reserve ─▶ lease              activate ─▶ programs ─▶ map entries ─▶ routes ─▶ lease is active
//! release ─▶ map entries ─▶ link (and with it routes and programs) ─▶ lease
//! ```
//!
//! Links that another plugin made are in [`foreign`]: programs and map entries are all that is ours there.
//!
//! Each attachment has a lock of its own, so that a DEL that overtakes its ADD finds all or nothing of it.

mod check;
mod error;
mod examine;
mod foreign;
mod heal;
mod held;
mod notes;
mod object;
mod shaping;
mod suspects;
mod sweep;

pub use error::AttachmentError;
pub use examine::Damage;
pub use held::claimed;
use suspects::Suspects;
pub(crate) use sweep::{is_ours, who};

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use ferrule_cni::api::{
    ActivateRequest, AttachmentId, GcRequest, GcResponse, ReserveRequest, ReserveResponse, ReservedAddress,
};
use ferrule_common::{layout, settings};
use ferrule_model::{desired::LocalEndpoint, ipam::Pools, objects::ObjectName, policy};
use ipnetwork::IpNetwork;
use rtnetlink::Handle;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, watch};

use crate::{
    bpf::{EndpointMaps, Programs, endpoint_maps::LocalPod},
    changes::{Changes, Part},
    lease::{Lease, LeaseError, Leases, State, Terms},
    net::{self, Remover, link},
    policy::Policy,
    state::NodeState,
    store::Reader,
};

/// How long a reservation waits for the node to be ready; less than the plugin waits for an answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// Locks that attachments share by their hash.
const LOCKS: usize = 256;

/// What attachments are made of and with.
pub struct Attachments {
    leases: Arc<Leases>,
    maps: Mutex<EndpointMaps>,
    programs: Arc<Mutex<Programs>>,
    net: Handle,
    remover: Remover,
    state: watch::Receiver<Arc<NodeState>>,
    /// What may pass.
    policy: Arc<Policy>,
    /// The objects.
    store: Reader,
    /// An ADD waits for its pod's object.
    require_pod_object: bool,
    /// Told when a lease comes or goes.
    changes: Arc<Changes>,
    lease_changes: watch::Sender<()>,
    /// Where a plugin that found no agent left what it released.
    notes: PathBuf,
    host_local: PathBuf,
    notes_turn: AsyncMutex<()>,
    locks: Vec<AsyncMutex<()>>,
    hasher: RandomState,
    /// What a former agent left is in the maps.
    filled: AtomicBool,
    /// Addresses that the host knows somebody at who has no lease.
    inhabited: Mutex<HashSet<IpAddr>>,
    /// Reservations that had neither netns nor link when they were last looked at.
    suspects: Mutex<Suspects>,
}

/// What [`Attachments`] is made from.
pub struct Parts {
    /// Durable leases.
    pub leases: Leases,
    /// The maps of local pods.
    pub maps: EndpointMaps,
    /// The programs.
    pub programs: Arc<Mutex<Programs>>,
    /// Netlink.
    pub net: Handle,
    /// What may pass.
    pub policy: Arc<Policy>,
    /// The objects.
    pub store: Reader,
    /// See [`crate::config::Options::require_pod_object`].
    pub require_pod_object: bool,
    /// What the reconciler found.
    pub state: watch::Receiver<Arc<NodeState>>,
    /// Told when a lease comes or goes.
    pub changes: Arc<Changes>,
    /// Where a plugin that found no agent left what it released.
    pub notes: PathBuf,
    /// Where a former plugin's host-local keeps the addresses that it leases.
    pub host_local: PathBuf,
}

impl Attachments {
    /// Attachments over these parts; changes nothing yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            remover: Remover::start(parts.net.clone()),
            leases: Arc::new(parts.leases),
            maps: Mutex::new(parts.maps),
            programs: parts.programs,
            net: parts.net,
            state: parts.state,
            store: parts.store,
            require_pod_object: parts.require_pod_object,
            policy: parts.policy,
            changes: parts.changes,
            lease_changes: watch::channel(()).0,
            notes: parts.notes,
            host_local: parts.host_local,
            notes_turn: AsyncMutex::new(()),
            locks: (0..LOCKS).map(|_| AsyncMutex::new(())).collect(),
            hasher: RandomState::new(),
            filled: AtomicBool::new(false),
            inhabited: Mutex::default(),
            suspects: Mutex::default(),
        }
    }

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
            Some(device) if device.name == lease.host_ifname => foreign::may_be(&lease, &device)?,
            _ => return Err(AttachmentError::NoLink { name: lease.host_ifname.clone() }),
        }
        if let Err(error) = self.connect(&lease, request.host_ifindex).await {
            if !is_active(&lease) {
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
    async fn connect(self: &Arc<Self>, lease: &Arc<Lease>, ifindex: u32) -> Result<(), AttachmentError> {
        let (all, own) = (Arc::clone(self), Arc::clone(lease));
        blocking(move || {
            if own.enforce_only {
                all.programs().attach_foreign(&own.host_ifname, ifindex, own.endpoint_index)?;
            } else if own.shaped {
                all.programs().attach_shaped(&own.host_ifname, ifindex)?;
            } else {
                all.programs().attach_pod(&own.host_ifname, own.endpoint_index)?;
            }
            Ok(())
        })
        .await?;
        self.limit(lease, ifindex).await?;
        let (all, own) = (Arc::clone(self), Arc::clone(lease));
        blocking(move || {
            all.policy.install(own.endpoint_index, subject(&own))?;
            all.maps().insert(&local_pod(&own, ifindex)).map_err(|source| AttachmentError::Map { source })
        })
        .await?;
        if lease.enforce_only {
            return Ok(());
        }
        let mac = lease.pod_mac.0;
        net::host_side::ensure(&self.net, &lease.host_ifname, ifindex, mac, &lease.addresses).await?;
        Ok(())
    }

    /// Removes all of an attachment, but not another plugin's link; one that is not known is fine.
    ///
    /// # Errors
    /// The first failure, after trying everything; the lease then stands.
    pub async fn release(self: &Arc<Self>, id: &AttachmentId) -> Result<(), AttachmentError> {
        let _turn = self.turn(id).await;
        self.release_in_turn(id).await
    }

    /// [`Self::release`] for a caller who has the attachment's turn.
    async fn release_in_turn(self: &Arc<Self>, id: &AttachmentId) -> Result<(), AttachmentError> {
        let lease = self.leases.get(id);
        let name = ferrule_cni::api::host_ifname(&id.container_id, &id.ifname);
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
            blocking(move || Ok(all.leases.release(&id, now_ms())?)).await?;
            self.leases_changed();
        }
        Ok(())
    }

    /// Removes a lease's map entries, by the interface index that the maps themselves name.
    async fn forget(self: &Arc<Self>, lease: &Arc<Lease>) -> Result<(), AttachmentError> {
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
    async fn forget_link(self: &Arc<Self>, ifindex: u32) -> Result<(), AttachmentError> {
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
                    crate::reconcile::chain(&error)
                )),
            }
        }
        response
    }

    /// Brings activations to disk, which else go with the next transaction. Gives a sentence where that fails.
    pub async fn flush(self: &Arc<Self>) -> Option<String> {
        let all = Arc::clone(self);
        let flushed = blocking(move || Ok(all.leases.flush(now_ms())?)).await;
        flushed.err().map(|error| crate::reconcile::chain(&error))
    }

    fn leases_changed(&self) {
        self.changes.tell(Part::Leases);
        self.lease_changes.send_replace(());
    }

    /// Tells whenever a lease comes or goes.
    #[must_use]
    pub fn lease_changes(&self) -> watch::Receiver<()> {
        self.lease_changes.subscribe()
    }

    /// Every lease.
    #[must_use]
    pub fn leases(&self) -> Vec<Arc<Lease>> {
        self.leases.list()
    }

    /// Netlink.
    #[must_use]
    pub const fn net(&self) -> &Handle {
        &self.net
    }

    /// One lease.
    ///
    /// # Errors
    /// Where there is none.
    pub fn lease(&self, id: &AttachmentId) -> Result<Arc<Lease>, AttachmentError> {
        let unknown = || LeaseError::Unknown { container_id: id.container_id.clone(), ifname: id.ifname.clone() };
        Ok(self.leases.get(id).ok_or_else(unknown)?)
    }

    /// Released addresses that still rest.
    #[must_use]
    pub fn resting(&self) -> usize {
        self.leases.resting(now_ms()).len()
    }

    /// What the model has to know of local pods.
    #[must_use]
    pub fn local_endpoints(&self) -> Vec<LocalEndpoint> {
        self.leases
            .list()
            .iter()
            .map(|lease| LocalEndpoint {
                container_id: lease.id.container_id.clone(),
                addresses: lease.addresses.clone(),
            })
            .collect()
    }

    /// See [`Leases::revision`].
    #[must_use]
    pub fn lease_revision(&self) -> u64 {
        self.leases.revision()
    }

    /// The interface indices of pods' host sides, as the map of links has them.
    ///
    /// # Errors
    /// Where the map cannot be read.
    pub fn pod_links(&self) -> Result<Vec<u32>, AttachmentError> {
        self.maps().links().map_err(|source| AttachmentError::Map { source })
    }

    async fn turn(&self, id: &AttachmentId) -> AsyncMutexGuard<'_, ()> {
        let slot = self.hasher.hash_one(id) % LOCKS as u64;
        self.locks[usize::try_from(slot).unwrap_or_default()].lock().await
    }

    fn maps(&self) -> MutexGuard<'_, EndpointMaps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn programs(&self) -> MutexGuard<'_, Programs> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What policies know of an attachment.
fn subject(lease: &Lease) -> policy::Endpoint {
    policy::Endpoint {
        addresses: lease.addresses.clone(),
        pod: lease.pod.as_ref().map(|pod| ObjectName::new(pod.namespace.as_str(), pod.name.as_str())),
        uid: lease.pod.as_ref().and_then(|pod| pod.uid.clone()),
    }
}

fn local_pod(lease: &Lease, ifindex: u32) -> LocalPod {
    LocalPod {
        index: lease.endpoint_index,
        ifindex,
        mtu: lease.mtu,
        mac: lease.pod_mac.0,
        host_mac: lease.host_mac.0,
        addresses: lease.addresses.clone(),
        via_stack: lease.shaped || lease.limits.is_some(),
        foreign: lease.enforce_only,
    }
}

const fn gateway(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::new(
            settings::GATEWAY_V4[0],
            settings::GATEWAY_V4[1],
            settings::GATEWAY_V4[2],
            settings::GATEWAY_V4[3],
        )),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::from_octets(settings::GATEWAY_V6)),
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Runs what waits for a disk or the kernel where waiting is fine.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AttachmentError> + Send + 'static,
) -> Result<T, AttachmentError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(AttachmentError::NotReady("the agent is stopping".into())),
    }
}

const fn is_active(lease: &Lease) -> bool {
    matches!(lease.state, State::Active)
}
