//! Brings the datapath to what the store says, and keeps it there: what changed at once, everything every ten seconds.
//!
//! ```text
//! store ─┐
//! leases ┼▶ ways ─▶ model::desired ─▶ model::plan ─▶ maps ─▶ devices ─▶ kernel routes ─▶ pods ─▶ state
//! kernel ┘
//! ```
//!
//! Nothing is removed before the source is whole: an object that is not there yet may only be late.

mod devices;
mod follow;
mod remote;
mod ways;

use std::{
    collections::BTreeSet,
    error::Error,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ferrule_common::{layout, settings};
use ferrule_model::desired::{self, Desired, Input, Overhead, PeerKind};
use rtnetlink::Handle;
use tokio::sync::watch;

use self::{remote::Keeper, ways::Ways};
use crate::{
    attachment::{self, Attachments},
    bpf::{self, Pins, Programs, RemoteMaps},
    changes::{Changes, Part, Parts},
    config::Config,
    flows::Flows,
    issue::Issue,
    net::{self, overlay},
    policy::Policy,
    services::Services,
    state::NodeState,
    store::{Reader, Snapshot},
};

pub use ways::OVERLAY;

/// Rounds without a reason, which find what no event told.
const PERIOD: Duration = Duration::from_secs(10);
/// How soon a round that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a burst of changes is gathered.
const GATHER: Duration = Duration::from_millis(20);
/// Pods are looked at no more often than this, whatever happens to their links.
const PODS: Duration = Duration::from_secs(1);

/// What a reconciler works with.
pub struct With {
    /// The configuration.
    pub config: Arc<Config>,
    /// Netlink.
    pub net: Handle,
    /// The programs, for devices.
    pub programs: Arc<Mutex<Programs>>,
    /// Local pods, whose addresses are never peers.
    pub attachments: Arc<Attachments>,
    /// Where what was found goes.
    pub state: watch::Sender<Arc<NodeState>>,
    /// Told when leases, links, addresses or routes change.
    pub changes: Arc<Changes>,
    /// Where maps are pinned.
    pub pins: Pins,
    /// Flows, which go with their ends' addresses.
    pub flows: Arc<Flows>,
    /// What may pass.
    pub policy: Arc<Policy>,
    /// Services.
    pub services: Arc<Services>,
}

/// Keeps the datapath as it should be.
pub struct Reconciler {
    with: With,
    keeper: Keeper,
    ways: Ways,
    /// The last snapshot that was looked at.
    snapshot: Arc<Snapshot>,
    desired: Option<Arc<Desired>>,
    /// The addresses that were leased then, and what the leases' revision was.
    leased: BTreeSet<IpAddr>,
    leases_seen: Option<u64>,
    /// Something was left undone, or may be done once a removed node's index has rested.
    unfinished: bool,
    pods_changed: bool,
    pods_looked_at: Instant,
    /// When everything was looked at last.
    full_round: Instant,
    errors: Errors,
}

/// What went wrong, by what it was done for: what was not tried again stands.
#[derive(Debug, Default)]
struct Errors {
    leases: Option<String>,
    maps: Option<String>,
    devices: Vec<String>,
    host: Vec<String>,
    pods: Vec<String>,
}

impl Errors {
    fn all(&self) -> Vec<String> {
        self.leases.iter().chain(&self.maps).chain(&self.devices).chain(&self.host).chain(&self.pods).cloned().collect()
    }
}

/// A round that could not be finished at all.
type Failure = Box<dyn Error + Send + Sync>;

impl Reconciler {
    /// A reconciler that has not looked yet; it alone writes `maps`.
    #[must_use]
    pub fn new(with: With, maps: RemoteMaps) -> Self {
        Self {
            with,
            keeper: Keeper::new(maps),
            ways: Ways::default(),
            snapshot: Arc::default(),
            desired: None,
            leased: BTreeSet::new(),
            leases_seen: None,
            unfinished: false,
            pods_changed: false,
            pods_looked_at: Instant::now(),
            full_round: Instant::now(),
            errors: Errors::default(),
        }
    }

    /// Reconciles until the store's writer is gone.
    pub async fn run(mut self, mut store: Reader) {
        let mut parts = Parts::EVERYTHING;
        loop {
            let snapshot = store.snapshot();
            if !Arc::ptr_eq(&self.snapshot, &snapshot) {
                // Where pods alone have changed, the round has nothing left to compute.
                self.follow(&snapshot);
            }
            if snapshot.synced && self.round(snapshot, parts).await {
                if parts.is_full() {
                    self.full_round = Instant::now();
                }
                parts = Parts::default();
            }
            if !self.follow_until_due(&mut store, parts).await {
                return;
            }
            tokio::time::sleep(GATHER).await;
            parts = parts.and(self.with.changes.take());
            if self.full_round.elapsed() >= PERIOD {
                parts = parts.and(Parts::ALL);
            }
        }
    }

    /// Follows changes until a round is due; false where the store's writer is gone.
    async fn follow_until_due(&mut self, store: &mut Reader, parts: Parts) -> bool {
        loop {
            // What could not be finished is tried again, not at once.
            let rest = PERIOD.saturating_sub(self.full_round.elapsed()).max(AGAIN);
            let pause = if self.pods_changed { rest.min(PODS) } else { rest };
            tokio::select! {
                more = store.changed() => {
                    if !more {
                        return false;
                    }
                    // What waits for its pause has no other turn where pods come and go all the time.
                    let waits = self.pods_changed || parts != Parts::default() || self.full_round.elapsed() >= PERIOD;
                    if waits || !self.follow(&store.snapshot()) {
                        return true;
                    }
                }
                () = self.with.changes.told() => return true,
                () = tokio::time::sleep(pause) => return true,
            }
        }
    }

    /// Whether it was finished.
    async fn round(&mut self, snapshot: Arc<Snapshot>, parts: Parts) -> bool {
        let before = Arc::clone(&self.with.state.borrow());
        let mut state = (*before).clone();
        let outcome = self.reconcile(snapshot, parts, &mut state).await;
        if let Err(failure) = &outcome {
            let words = chain(failure.as_ref());
            state.waiting = Some(words.clone());
            state.errors = self.errors.all();
            state.errors.push(words);
        }
        state.finished = Some(Instant::now());
        self.publish(&before, state);
        outcome.is_ok()
    }

    /// Says what is new, and lets everybody see it.
    fn publish(&self, before: &NodeState, state: NodeState) {
        for error in state.errors.iter().filter(|error| !before.errors.contains(error)) {
            tracing::error!(error, "reconcile");
        }
        for issue in state.issues.iter().filter(|issue| !before.issues.contains(issue)) {
            tracing::warn!(issue = issue.to_string(), "objects");
        }
        if state.ready && !before.ready {
            tracing::info!(mtu = state.mtu, pod_cidrs = ?state.pod_cidrs, nodes = state.nodes.len(), "ready");
        }
        self.with.state.send_replace(Arc::new(state));
    }

    /// What is wrong with objects, policies and the source.
    fn issues(&self, desired: &Desired, snapshot: &Snapshot) -> Vec<Issue> {
        let policies = self.with.policy.issues().into_iter().map(Issue::Policies);
        let objects = desired.issues.iter().cloned().map(Issue::Node);
        // Their own task may not have come to this snapshot yet; what the kernel refuses stands in `error`.
        let _ = self.with.services.follow();
        let services = self.with.services.issues().into_iter().map(Issue::Services);
        let source = snapshot.notes.iter().cloned().map(Issue::Source);
        objects.chain(policies).chain(services).chain(source).collect()
    }

    fn leased_now(&self) -> BTreeSet<IpAddr> {
        let endpoints = self.with.attachments.local_endpoints();
        endpoints.into_iter().flat_map(|endpoint| endpoint.addresses).collect()
    }

    async fn reconcile(&mut self, snapshot: Arc<Snapshot>, parts: Parts, state: &mut NodeState) -> Result<(), Failure> {
        let new_objects = !Arc::ptr_eq(&self.snapshot, &snapshot);
        let whole = snapshot.whole;
        let look = new_objects || parts.has(Part::Underlay);
        let mut stale = new_objects || self.desired.is_none() || self.unfinished;
        if look {
            net::sysctl::forwarding()?;
            let With { config, net, .. } = &self.with;
            let ways = self.ways.look(config, net, &snapshot, parts.has(Part::Underlay)).await?;
            stale |= ways != self.ways;
            self.ways = ways;
        }
        stale |= self.keeper.look(parts.has(Part::Maps))?;
        stale |= parts.has(Part::Leases) && self.leases_matter();
        if stale {
            self.compute(&snapshot, state)?;
            self.snapshot = snapshot;
        }
        self.pods_changed |= parts.has(Part::Pods);
        // Where another layout's maps are pinned, its programs are in force, and know what these maps may lack yet.
        let successor = !self.with.pins.other_layouts().is_empty();
        if successor && !whole {
            state.waiting = Some(format!(
                "another version's programs are in force, and stay until all of the source can be read: {}",
                state.blame()
            ));
            return Ok(());
        }
        if look || stale || parts.has(Part::Devices) {
            // The programs that are about to run may read other maps than those that ran before.
            self.with.attachments.fill_once().await?;
            if successor {
                self.carry();
            }
            self.with.policy.follow()?;
            if !self.with.policy.is_ready() {
                state.waiting = Some(format!(
                    "the policies of a former agent are in force, and stay until all of the source can be read: {}",
                    state.blame()
                ));
                return Ok(());
            }
            self.follow_services().await?;
            if !self.with.services.is_settled() {
                let former =
                    "the Services of a former agent are in force, and stay until all of the source can be read";
                let error = self.with.services.error();
                state.waiting = Some(error.unwrap_or_else(|| format!("{former}: {}", state.blame())));
                return Ok(());
            }
            let attachments = &self.with.attachments;
            let is_pod = |name: &str, ifindex| attachments.is_pod_link(name, ifindex);
            let (attached, errors) = devices::attach(&self.with.programs, &self.ways, whole, &is_pod);
            self.errors.devices = errors;
            state.ready = attached;
            state.waiting = (!attached).then(|| self.errors.devices.join("; "));
            if let Some(device) = self.ways.overlay.as_ref().filter(|_| attached) {
                // Not before: what comes through it is judged by the programs alone.
                overlay::up(&self.with.net, device).await?;
            }
        }
        if look || stale || parts.has(Part::Routes) {
            self.errors.host = self.host(whole).await;
        }
        self.errors.leases = self.with.attachments.flush().await;
        // What was wrong with a pod may have gone with its lease.
        self.pods_changed |= parts.has(Part::Leases) && !self.errors.pods.is_empty();
        if self.pods_changed && (parts.is_full() || self.pods_looked_at.elapsed() >= PODS) {
            self.errors.pods = self.with.attachments.heal().await;
            (self.pods_changed, self.pods_looked_at) = (false, Instant::now());
        }
        state.full_rounds += u64::from(parts.is_full());
        if let Some(desired) = self.desired.as_ref().filter(|_| parts.is_full()) {
            // What others find without an event of ours, such as a pod with the address of a Service.
            state.issues = self.issues(desired, &self.snapshot);
        }
        state.errors = self.errors.all();
        state.errors.extend(self.with.services.error());
        if successor
            && state.ready
            && self.with.services.has_taken_over()
            && self.with.attachments.has_taken_over().await?
        {
            // Those that were opened while the programs were being replaced.
            self.carry();
            self.with.pins.remove_other_layouts()?;
            tracing::info!("took over from a version with another map layout");
        }
        Ok(())
    }

    /// Brings Services to what the store says; what the kernel refuses of them is told, and keeps nothing else waiting.
    async fn follow_services(&self) -> Result<(), Failure> {
        let services = Arc::clone(&self.with.services);
        // Whoever follows later meets the same error, which `error` keeps.
        let _ = tokio::task::spawn_blocking(move || services.follow()).await?;
        Ok(())
    }

    /// Takes along the flows of another version's table, so that connections go on.
    fn carry(&self) {
        match bpf::carry::carry(&self.with.pins) {
            Ok(0) => {}
            Ok(flows) => tracing::info!(flows, "took flows along from another version's table"),
            Err(error) => {
                tracing::error!(%error, "flows of another version's table cannot be read: connections that only answer may break");
            }
        }
    }

    /// What the node should be like, and the maps accordingly.
    fn compute(&mut self, snapshot: &Snapshot, state: &mut NodeState) -> Result<(), Failure> {
        let started = Instant::now();
        let config = &self.with.config;
        let resting = self.keeper.resting();
        let nothing = desired::Remote::default();
        self.leases_seen = Some(self.with.attachments.lease_revision());
        let endpoints = self.with.attachments.local_endpoints();
        self.leased = endpoints.iter().flat_map(|endpoint| endpoint.addresses.iter().copied()).collect();
        let desired = desired::desired(Input {
            objects: &snapshot.objects,
            node_name: &config.node_name,
            endpoints: &endpoints,
            settings: &desired::Settings {
                routing: config.routing.into(),
                overhead: Overhead::default(),
                cluster_cidrs: config.cluster_cidrs.clone(),
                node_capacity: layout::NODES - 1,
            },
            underlay: &self.ways.underlay(),
            observed: &self.keeper.observed().unwrap_or(&nothing).nodes,
            resting: &resting,
        })?;
        let desired = Arc::new(desired);
        let applied = self.keeper.apply(&desired, snapshot.whole, &self.with.flows);
        self.unfinished = applied.is_err() || !resting.is_empty();
        self.errors.maps = applied.err();
        let peers = desired.remote.peers.values();
        state.mtu = self.ways.pod_mtu;
        state.claimed = Arc::new(attachment::claimed(&snapshot.objects, &config.node_name));
        state.pod_cidrs.clone_from(&desired.own_pod_cidrs);
        state.internal_ips.clone_from(&desired.own_internal_ips);
        state.remote_pods = peers.filter(|peer| peer.kind == PeerKind::Pod).count();
        let nodes = desired.remote.nodes.iter();
        let names = &desired.node_names;
        let named = nodes.filter_map(|(index, e)| Some((*index, (Arc::clone(names.get(index)?), e.clone()))));
        state.nodes = Arc::new(named.collect());
        state.devices = self.ways.devices.iter().map(|device| device.name.clone()).collect();
        state.issues = self.issues(&desired, snapshot);
        tracing::debug!(
            nodes = state.nodes.len(),
            remote_pods = state.remote_pods,
            milliseconds = started.elapsed().as_millis(),
            "objects are in the maps"
        );
        state.desired = Some(Arc::clone(&desired));
        self.desired = Some(desired);
        crate::allocator::give_back();
        Ok(())
    }

    /// Whether an address that was leased or released since is also somebody else's.
    fn leases_matter(&self) -> bool {
        let Some(desired) = &self.desired else { return true };
        let now = self.leased_now();
        now.symmetric_difference(&self.leased).any(|address| desired.depends_on_lease(*address))
    }

    /// The host's own addresses and routes; a sentence for each that could not be made.
    async fn host(&self, whole: bool) -> Vec<String> {
        let Some(desired) = &self.desired else { return Vec::new() };
        let With { net, attachments, .. } = &self.with;
        let mut errors = Vec::new();
        let carrier = self.ways.overlay.as_ref().or(self.ways.devices.first());
        if let Some(device) = carrier
            && let Err(error) = overlay::ensure_addresses(net, device.ifindex, &desired.own_addresses).await
        {
            errors.push(chain(&error));
        }
        errors.extend(net::bridge::answer(net, &desired.own_pod_cidrs).await.err().map(|error| chain(&error)));
        let overlay = self.ways.overlay.as_ref().map(|device| device.ifindex);
        let mut unread = None;
        // What is not wanted any more may only be late where the source is not whole.
        let pods = || match attachments.pod_links() {
            Ok(links) => whole.then_some(links),
            Err(error) => {
                unread = Some(chain(&error));
                None
            }
        };
        let synced = net::route::sync(net, &desired.routes, overlay, pods, u64::from(settings::VNI)).await;
        errors.extend(synced.err().map(|error| chain(&error)));
        errors.extend(unread);
        errors
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
