//! Brings the datapath to what the store says, and keeps it there: what changed at once, everything every ten seconds.
//!
//! ```text
//! store ─┐
//! leases ┼▶ ways ─▶ model::desired ─▶ model::plan ─▶ maps ─▶ devices ─▶ kernel routes ─▶ pods ─▶ state
//! kernel ┘
//! ```
//!
//! Nothing is removed before the source is whole: an object that is not there yet may only be late.

mod compute;
mod devices;
mod enforce;
mod follow;
mod host;
mod others;
mod remote;
mod uplinks;
mod ways;

use std::{
    collections::BTreeSet,
    error::Error,
    net::IpAddr,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use ferrule_api::chain::chain;
pub use ferrule_kernel::net::own::OVERLAY;
use ferrule_kernel::{
    bpf::{RemoteMaps, sys},
    changes::{Part, Parts},
    net,
};
use ferrule_model::desired::{Desired, InternalIps, OuterSource};
use ferrule_source::{
    issue::Issue,
    store::{Reader, Snapshot},
};
pub(crate) use others::programs;
use tokio::sync::watch;

use self::{remote::Keeper, ways::Ways};
use crate::{controllers::Controllers, state::NodeState};

/// Rounds without a reason, which find what no event told.
const PERIOD: Duration = Duration::from_secs(10);
/// How soon a round that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often that doubles while rounds go on to fail.
const MOST_DOUBLINGS: u32 = 3;
/// How long a burst of changes is gathered.
const GATHER: Duration = Duration::from_millis(20);
/// Pods are looked at no more often than this, whatever happens to their links.
const PODS: Duration = Duration::from_secs(1);

/// Keeps the datapath as it should be.
pub struct Reconciler {
    controllers: Arc<Controllers>,
    /// Where what was found goes.
    state: watch::Sender<Arc<NodeState>>,
    keeper: Keeper,
    ways: Ways,
    /// The ways were found once.
    looked: bool,
    /// Programs were on all devices once.
    enforced: bool,
    /// What failed in this round, which keeps nothing else from its turn.
    failures: Vec<Failure>,
    /// Rounds that failed, one after another.
    failed: u32,
    /// InternalIPs that came or went a moment ago, by milliseconds since `started`.
    internal_ips: InternalIps,
    started: Instant,
    outer_source: OuterSource,
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
    ways: Vec<String>,
    leases: Option<String>,
    maps: Option<String>,
    overlay: Option<String>,
    devices: Vec<String>,
    host: Vec<String>,
    pods: Vec<String>,
}

impl Errors {
    fn all(&self) -> Vec<String> {
        let of_overlay = self.ways.iter().chain(&self.leases).chain(&self.maps).chain(&self.overlay);
        of_overlay.chain(&self.devices).chain(&self.host).chain(&self.pods).cloned().collect()
    }
}

/// A round that could not be finished at all.
type Failure = Box<dyn Error + Send + Sync>;

impl Reconciler {
    /// A reconciler that has not looked yet; it alone writes `maps`.
    #[must_use]
    pub fn new(controllers: Arc<Controllers>, state: watch::Sender<Arc<NodeState>>, maps: RemoteMaps) -> Self {
        Self {
            controllers,
            state,
            keeper: Keeper::new(maps),
            ways: Ways::default(),
            looked: false,
            enforced: false,
            failures: Vec::new(),
            failed: 0,
            internal_ips: InternalIps::default(),
            started: Instant::now(),
            outer_source: outer_source(),
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
                self.follow(&snapshot).await;
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
            parts = parts.and(self.controllers.changes.take());
            if self.full_round.elapsed() >= PERIOD {
                parts = parts.and(Parts::ALL);
            }
        }
    }

    /// Follows changes until a round is due; false where the store's writer is gone.
    async fn follow_until_due(&mut self, store: &mut Reader, parts: Parts) -> bool {
        loop {
            // What could not be finished is tried again, not at once.
            let again = AGAIN * (1 << self.failed.saturating_sub(1).min(MOST_DOUBLINGS));
            let rest = PERIOD.saturating_sub(self.full_round.elapsed()).max(again);
            let rest = if self.pods_changed { rest.min(PODS) } else { rest };
            let pause = self.until_known().map_or(rest, |due| rest.min(due));
            tokio::select! {
                more = store.changed() => {
                    if !more {
                        return false;
                    }
                    // What waits for its pause has no other turn where pods come and go all the time.
                    let waits = self.pods_changed || parts != Parts::default() || self.full_round.elapsed() >= PERIOD;
                    if waits || self.is_known() || !self.follow(&store.snapshot()).await {
                        return true;
                    }
                }
                () = self.controllers.changes.told() => return true,
                () = tokio::time::sleep(pause) => return true,
            }
        }
    }

    /// Whether it was finished.
    async fn round(&mut self, snapshot: Arc<Snapshot>, parts: Parts) -> bool {
        let before = Arc::clone(&self.state.borrow());
        let mut state = (*before).clone();
        let outcome = self.reconcile(snapshot, parts, &mut state).await;
        let failures: Vec<Failure> = self.failures.drain(..).chain(outcome.err()).collect();
        if !failures.is_empty() {
            let words: Vec<String> = failures.iter().map(|failure| chain(failure.as_ref())).collect();
            state.waiting = Some(words.join("; "));
            state.errors = self.errors.all();
            state.errors.extend(words);
        }
        let finished = failures.is_empty() && self.errors.ways.is_empty();
        self.failed = if finished { 0 } else { self.failed.saturating_add(1) };
        state.finished = Some(Instant::now());
        self.publish(&before, state);
        finished
    }

    /// Milliseconds of this agent's life.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long until something that came or went a moment ago has done so for long.
    fn until_known(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.internal_ips.next()?.saturating_sub(self.now())))
    }

    /// Whether something has.
    fn is_known(&self) -> bool {
        self.until_known().is_some_and(|due| due.is_zero())
    }

    /// Keeps a failure for the end of the round.
    fn note<T, E: Into<Failure>>(&mut self, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.failures.push(error.into())).ok()
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
        self.state.send_replace(Arc::new(state));
    }

    /// What is wrong with objects, policies and the source.
    async fn issues(&self, desired: &Desired, snapshot: &Snapshot) -> Vec<Issue> {
        // Their own tasks may not have come to this snapshot yet, and nothing asks again for ten seconds; what the kernel
        // refuses they tell themselves.
        let _ = tokio::join!(self.controllers.policy.synced(), self.controllers.services.synced());
        let policies = self.controllers.policy.issues().into_iter().map(Issue::Policies);
        let objects = desired.issues.iter().cloned().map(Issue::Node);
        let services = self.controllers.services.issues().into_iter().map(Issue::Services);
        let source = snapshot.notes.iter().cloned().map(Issue::Source);
        let refused = snapshot.refused.iter().cloned().map(Issue::Node);
        refused.chain(objects).chain(policies).chain(services).chain(source).collect()
    }

    fn leased_now(&self) -> BTreeSet<IpAddr> {
        let endpoints = self.controllers.attachments.local_endpoints();
        endpoints.into_iter().flat_map(|endpoint| endpoint.addresses).collect()
    }

    async fn reconcile(&mut self, snapshot: Arc<Snapshot>, parts: Parts, state: &mut NodeState) -> Result<(), Failure> {
        let new_objects = !Arc::ptr_eq(&self.snapshot, &snapshot);
        let whole = snapshot.whole;
        let look = new_objects || parts.has(Part::Underlay);
        let mut stale = new_objects || self.desired.is_none() || self.unfinished || self.is_known();
        if look {
            self.note(net::sysctl::forwarding());
            stale |= self.look(&snapshot, parts).await?;
        }
        let read = self.keeper.look(parts.has(Part::Maps));
        stale |= self.note(read).unwrap_or_default();
        stale |= parts.has(Part::Leases) && self.leases_matter();
        if stale {
            match self.compute(&snapshot, state).await {
                Ok(()) => self.snapshot = snapshot,
                Err(failure) if self.desired.is_none() => return Err(failure),
                // What was computed before goes on to be kept.
                Err(failure) => self.failures.push(failure),
            }
        }
        self.pods_changed |= parts.has(Part::Pods);
        // Where another layout's maps are pinned, its programs are in force, and know what these maps may lack yet.
        let successor = !self.controllers.pins.other_layouts().is_empty();
        if successor && !whole {
            state.waiting = Some(format!(
                "another version's programs are in force, and stay until all of the source can be read: {}",
                state.blame()
            ));
            return Ok(());
        }
        if parts.is_full() {
            self.controllers.programs.lock().unwrap_or_else(PoisonError::into_inner).doubt_roles();
        }
        let enforces = look || stale || parts.has(Part::Devices);
        if enforces {
            let enforced = self.enforce(whole, successor, state).await;
            if !self.enforced || matches!(enforced, Ok(false)) {
                return enforced.map(drop);
            }
            self.note(enforced);
        }
        if look || stale || parts.has(Part::Routes) {
            self.errors.host = self.host(whole).await;
        }
        self.errors.leases = self.controllers.attachments.flush().await;
        // What was wrong with a pod may have gone with its lease.
        self.pods_changed |= parts.has(Part::Leases) && !self.errors.pods.is_empty();
        if self.pods_changed && (parts.is_full() || self.pods_looked_at.elapsed() >= PODS) {
            self.errors.pods = self.controllers.attachments.heal().await;
            (self.pods_changed, self.pods_looked_at) = (false, Instant::now());
        }
        state.full_rounds += u64::from(parts.is_full());
        if let Some(desired) = self.desired.as_ref().filter(|_| parts.is_full()) {
            // What others find without an event of ours, such as a pod with the address of a Service.
            state.issues = self.issues(desired, &self.snapshot).await;
        }
        state.errors = self.errors.all();
        state.errors.extend(self.controllers.services.error());
        if successor && state.ready && self.failures.is_empty() {
            self.take_over().await?;
        }
        Ok(())
    }

    /// Looks at the ways to other nodes again: whether they lead elsewhere.
    async fn look(&mut self, snapshot: &Snapshot, parts: Parts) -> Result<bool, Failure> {
        let Controllers { config, net, attachments, .. } = &*self.controllers;
        let is_pod = |name: &str, ifindex: u32| attachments.is_pod_link(name, ifindex);
        match self.ways.look(config, net, snapshot, parts.has(Part::Underlay), &is_pod).await {
            // Nothing ran yet that might go on without: what is configured has to be there.
            Ok((_, errors)) if !errors.is_empty() && !self.looked && !config.devices.is_empty() => {
                Err(errors.join("; ").into())
            }
            Ok((ways, errors)) => {
                let differ = !ways.lead_as(&self.ways);
                (self.ways, self.errors.ways, self.looked) = (ways, errors, true);
                Ok(differ)
            }
            Err(failure) if !self.looked => Err(failure.into()),
            Err(failure) => {
                self.failures.push(failure.into());
                Ok(false)
            }
        }
    }
}

/// Who names the tunnel's outer source. Where it cannot be told, the older way works everywhere.
fn outer_source() -> OuterSource {
    if sys::takes_outer_source().unwrap_or_default() { OuterSource::Named } else { OuterSource::WhereNeeded }
}
