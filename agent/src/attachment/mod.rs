//! Pods of this node, from their ADD to their DEL: leases, host sides of veths, programs on them, entries in the maps.
//!
//! ```text
//! reserve ─▶ lease              activate ─▶ programs ─▶ map entries ─▶ routes ─▶ lease is active
//! release ─▶ map entries ─▶ link (and with it routes and programs) ─▶ lease
//! ```
//!
//! Links that another plugin made are in [`chained`]: programs and map entries are all that is ours there.
//!
//! Each attachment has a lock of its own, so that a DEL that overtakes its ADD finds all or nothing of it.

mod activate;
mod chained;
mod check;
mod error;
mod examine;
mod heal;
mod held;
mod notes;
mod object;
mod release;
mod reserve;
mod shaping;
mod suspects;
mod sweep;

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::{SystemTime, UNIX_EPOCH},
};

pub use error::AttachmentError;
pub use examine::Damage;
use ferrule_api::plugin::AttachmentId;
use ferrule_kernel::{
    bpf::{EndpointMaps, Programs},
    changes::{Changes, Part},
    net::{Remover, host_side::Sources},
};
use ferrule_model::{desired::LocalEndpoint, objects::ObjectName, policy, tenants::Tenants};
use ferrule_source::store::Reader;
pub use held::claimed;
use rtnetlink::Handle;
use suspects::Suspects;
pub(crate) use sweep::who;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard as AsyncMutexGuard, watch};

use crate::{
    lease::{Lease, LeaseError, Leases},
    policy::Policy,
    services::Owners,
    state::NodeState,
};

/// Locks that attachments share by their hash.
const LOCKS: usize = 256;

/// What attachments are made of and with.
pub struct Attachments {
    leases: Arc<Leases>,
    maps: Mutex<EndpointMaps>,
    /// Whose endpoints share an allowance of the connection table.
    tenants: Mutex<Tenants>,
    programs: Arc<Mutex<Programs>>,
    net: Handle,
    remover: Remover,
    state: watch::Receiver<Arc<NodeState>>,
    /// What may pass.
    policy: Arc<Policy>,
    /// Whose sockets ask Services.
    owners: Arc<Owners>,
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
    /// What the host sends to pods from.
    sources: Mutex<Sources>,
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
    /// Whose sockets ask Services.
    pub owners: Arc<Owners>,
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
            tenants: Mutex::default(),
            programs: parts.programs,
            net: parts.net,
            state: parts.state,
            store: parts.store,
            require_pod_object: parts.require_pod_object,
            policy: parts.policy,
            owners: parts.owners,
            changes: parts.changes,
            lease_changes: watch::channel(()).0,
            notes: parts.notes,
            host_local: parts.host_local,
            notes_turn: AsyncMutex::new(()),
            locks: (0..LOCKS).map(|_| AsyncMutex::new(())).collect(),
            hasher: RandomState::new(),
            sources: Mutex::default(),
            filled: AtomicBool::new(false),
            inhabited: Mutex::default(),
            suspects: Mutex::default(),
        }
    }

    /// Brings activations to disk, which else go with the next transaction. Gives a sentence where that fails.
    pub async fn flush(self: &Arc<Self>) -> Option<String> {
        let all = Arc::clone(self);
        let flushed = blocking(move || Ok(all.leases.flush(now_ms())?)).await;
        flushed.err().map(|error| ferrule_api::chain::chain(&error))
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

    /// Names what the host sends to pods from, for routes that are made or looked at from now on: whether it was another.
    pub fn speak_from(&self, sources: Sources) -> bool {
        let mut own = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *own, sources) != sources
    }

    fn sources(&self) -> Sources {
        *self.sources.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn tenants(&self) -> MutexGuard<'_, Tenants> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
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
