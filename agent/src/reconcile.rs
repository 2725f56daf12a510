//! Brings the datapath to what the store says, and keeps it there: on every change of objects, leases, links,
//! addresses and routes, and every ten seconds in any case.
//!
//! ```text
//! store ─┐
//! leases ┼▶ underlay ─▶ model::desired ─▶ model::plan ─▶ maps ─▶ kernel routes ─▶ devices ─▶ state
//! kernel ┘
//! ```
//!
//! Nothing is removed before the source is whole: an object that is not there yet may only be late.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ferrule_common::{Program, layout, settings};
use ferrule_model::{
    desired::{self, Desired, Input, Overhead, Path, Remote, Underlay},
    plan::{Step, plan},
};
use rtnetlink::Handle;
use tokio::sync::{Notify, watch};

use crate::{
    attachment::Attachments,
    bpf::{Direction, Programs, RemoteMaps},
    config::{Config, Routing},
    net::{self, link, overlay},
    state::NodeState,
    store::{Reader, Snapshot},
};

/// How long a removed node's index is not given to another: packets on their way may still name it.
const REST: Duration = Duration::from_secs(30);
/// Rounds without a reason, which find what no event told.
const PERIOD: Duration = Duration::from_secs(10);
/// How long what the maps hold is taken from memory.
const REREAD: Duration = Duration::from_secs(25);
/// How long a burst of changes is gathered.
const GATHER: Duration = Duration::from_millis(20);

/// What a reconciler works with.
pub struct Reconciler {
    /// The configuration.
    pub config: Arc<Config>,
    /// Netlink.
    pub net: Handle,
    /// The maps it alone writes.
    pub maps: RemoteMaps,
    /// The programs, for devices.
    pub programs: Arc<Mutex<Programs>>,
    /// Local pods, whose addresses are never peers.
    pub attachments: Arc<Attachments>,
    /// Where what was found goes.
    pub state: watch::Sender<Arc<NodeState>>,
    /// Told when leases, links, addresses or routes change.
    pub changed: Arc<Notify>,
    resting: BTreeMap<u32, Instant>,
    /// What the maps hold, as of the last reading and all steps since.
    observed: Option<(Instant, Remote)>,
}

/// A round that could not be finished at all.
type Failure = Box<dyn Error + Send + Sync>;

impl Reconciler {
    /// A reconciler that has not looked yet.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        net: Handle,
        maps: RemoteMaps,
        programs: Arc<Mutex<Programs>>,
        attachments: Arc<Attachments>,
        state: watch::Sender<Arc<NodeState>>,
        changed: Arc<Notify>,
    ) -> Self {
        Self { config, net, maps, programs, attachments, state, changed, resting: BTreeMap::new(), observed: None }
    }

    /// Reconciles until the store's writer is gone.
    pub async fn run(mut self, mut store: Reader) {
        loop {
            let snapshot = store.snapshot();
            if snapshot.synced {
                self.round(&snapshot).await;
            }
            tokio::select! {
                more = store.changed() => if !more { return },
                () = self.changed.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
            tokio::time::sleep(GATHER).await;
        }
    }

    async fn round(&mut self, snapshot: &Snapshot) {
        let mut errors = Vec::new();
        let before = Arc::clone(&self.state.borrow());
        let state = match self.reconcile(snapshot, &mut errors).await {
            Ok(state) => state,
            Err(failure) => {
                errors.push(chain(failure.as_ref()));
                NodeState { waiting: Some(chain(failure.as_ref())), ..(*before).clone() }
            }
        };
        for error in errors.iter().filter(|error| !before.errors.contains(error)) {
            tracing::error!(error, "reconcile");
        }
        for issue in state.issues.iter().filter(|issue| !before.issues.contains(issue)) {
            tracing::warn!(issue, "objects");
        }
        if state.ready && !before.ready {
            tracing::info!(mtu = state.mtu, pod_cidrs = ?state.pod_cidrs, nodes = state.nodes.len(), "ready");
        }
        self.state.send_replace(Arc::new(NodeState { errors, ..state }));
    }

    async fn reconcile(&mut self, snapshot: &Snapshot, errors: &mut Vec<String>) -> Result<NodeState, Failure> {
        let config = Arc::clone(&self.config);
        net::sysctl::forwarding()?;
        let objects = &snapshot.objects;
        let own = objects.nodes.get(config.node_name.as_str());
        let own_ips: Vec<IpAddr> = own.map(|node| node.internal_ips.clone()).unwrap_or_default();
        let overhead = Overhead::default();

        let devices = self.devices(&own_ips).await?;
        let underlay_mtu = devices.iter().map(|device| device.mtu).min();
        let tunnel_overhead = if own_ips.first().is_some_and(IpAddr::is_ipv6) { overhead.v6 } else { overhead.v4 };
        let mut underlay = Underlay { paths: self.paths(snapshot).await?, vxlan_ifindex: None, vxlan_mtu: 0 };
        let path_mtu = underlay.paths.values().map(|path| path.mtu).min();
        let least = [underlay_mtu, path_mtu].into_iter().flatten().min().unwrap_or(DEFAULT_MTU);
        let pod_mtu = config.mtu.unwrap_or(match config.routing {
            Routing::Vxlan => least - tunnel_overhead.max(if mixed(&underlay, &own_ips) { overhead.v6 } else { 0 }),
            Routing::Native => least,
        });
        let overlay = self.overlay(pod_mtu).await?;
        underlay.vxlan_ifindex = overlay.as_ref().map(|device| device.ifindex);

        let (read, observed) = self.observe()?;
        self.resting.retain(|_, since| since.elapsed() < REST);
        let endpoints = self.attachments.local_endpoints();
        let desired = desired::desired(Input {
            objects,
            node_name: &config.node_name,
            endpoints: &endpoints,
            settings: &desired::Settings {
                routing: config.routing.into(),
                overhead,
                cluster_cidrs: config.cluster_cidrs.clone(),
                node_capacity: layout::NODES - 1,
            },
            underlay: &underlay,
            observed: &observed.nodes,
            resting: &self.resting.keys().copied().collect::<BTreeSet<_>>(),
        })?;
        self.apply(read, observed, &desired, snapshot.whole, errors);
        let attached = self.attach(overlay.as_ref(), &devices, snapshot.whole, errors);
        if let Some(device) = overlay.as_ref().filter(|_| attached) {
            // Not before: what comes through it is judged by the programs alone.
            overlay::up(&self.net, device).await?;
        }
        self.host(&desired, overlay.as_ref(), &devices, snapshot.whole, errors).await;
        errors.extend(self.attachments.adopt().await);

        let issues = desired.issues.iter().map(ToString::to_string);
        let notes = snapshot.notes.iter().map(ToString::to_string);
        let names = &desired.node_names;
        Ok(NodeState {
            ready: attached,
            waiting: (!attached).then(|| errors.join("; ")),
            mtu: pod_mtu,
            pod_cidrs: desired.own_pod_cidrs.clone(),
            internal_ips: desired.own_internal_ips.clone(),
            remote_pods: desired.remote.peers.values().filter(|p| p.kind == desired::PeerKind::Pod).count(),
            nodes: desired
                .remote
                .nodes
                .iter()
                .filter_map(|(index, entry)| Some((*index, (Arc::clone(names.get(index)?), entry.clone()))))
                .collect(),
            devices: devices.into_iter().map(|device| device.name).collect(),
            issues: issues.chain(notes).collect(),
            errors: Vec::new(),
        })
    }

    /// The node's own devices: those configured, or those that hold its InternalIPs.
    async fn devices(&self, own_ips: &[IpAddr]) -> Result<Vec<link::Device>, Failure> {
        let mut devices = Vec::new();
        if self.config.devices.is_empty() {
            let addresses = link::addresses(&self.net).await?;
            let holds = |ifindex| addresses.iter().any(|(ip, at)| *at == ifindex && own_ips.contains(ip));
            devices.extend(link::all(&self.net).await?.into_iter().filter(|device| holds(device.ifindex)));
        } else {
            for name in &self.config.devices {
                let device = link::by_name(&self.net, name).await?;
                devices.push(device.ok_or_else(|| net::NetError::NoDevice(name.clone()))?);
            }
        }
        Ok(devices)
    }

    /// How the kernel reaches every other node's addresses.
    async fn paths(&self, snapshot: &Snapshot) -> Result<BTreeMap<IpAddr, Path>, Failure> {
        let mut paths = BTreeMap::new();
        let others = snapshot.objects.nodes.values().filter(|node| *node.name != *self.config.node_name);
        for ip in others.flat_map(|node| node.internal_ips.iter().copied()) {
            if let Some(path) = net::underlay::path(&self.net, ip).await? {
                paths.insert(ip, path);
            }
        }
        Ok(paths)
    }

    async fn overlay(&self, mtu: u32) -> Result<Option<link::Device>, Failure> {
        if self.config.routing != Routing::Vxlan {
            overlay::remove(&self.net, OVERLAY).await?;
            return Ok(None);
        }
        let wanted = overlay::Wanted {
            name: OVERLAY.into(),
            port: self.config.vxlan_port,
            mtu,
            mac: overlay_mac(&self.config.node_name),
        };
        Ok(Some(overlay::ensure(&self.net, &wanted).await?))
    }

    /// What the maps hold. This is their only writer, so that they are read now and then only, to find what somebody
    /// else changed.
    fn observe(&mut self) -> Result<(Instant, Remote), Failure> {
        match self.observed.take() {
            Some((read, remote)) if read.elapsed() < REREAD => Ok((read, remote)),
            _ => Ok((Instant::now(), self.maps.observe()?)),
        }
    }

    /// Carries out the plan; what removes something only where the source is whole.
    fn apply(&mut self, read: Instant, mut observed: Remote, desired: &Desired, whole: bool, errors: &mut Vec<String>) {
        for step in plan(&observed, &desired.remote) {
            if !whole && removes(&step) {
                continue;
            }
            if let Err(error) = self.maps.apply(&step) {
                errors.push(format!("{step:?}: {}; a full map takes no more entries", chain(&error)));
                // What follows may rest on what failed: the next round plans anew from what is there.
                return;
            }
            step.apply(&mut observed);
            if let Step::RemoveNode(index) = step {
                self.resting.insert(index, Instant::now());
            }
        }
        self.observed = Some((read, observed));
    }

    async fn host(
        &self,
        desired: &Desired,
        overlay: Option<&link::Device>,
        devices: &[link::Device],
        whole: bool,
        errors: &mut Vec<String>,
    ) {
        let carrier = overlay.or(devices.first()).map(|device| device.ifindex);
        if let Some(ifindex) = carrier
            && let Err(error) = overlay::ensure_addresses(&self.net, ifindex, &desired.own_addresses).await
        {
            errors.push(chain(&error));
        }
        let overlay = overlay.map(|device| device.ifindex);
        let mut unread = None;
        // What is not wanted any more may only be late where the source is not whole.
        let pods = || match self.attachments.pod_links() {
            Ok(links) => whole.then_some(links),
            Err(error) => {
                unread = Some(chain(&error));
                None
            }
        };
        let synced = net::route::sync(&self.net, &desired.routes, overlay, pods, u64::from(settings::VNI)).await;
        errors.extend(synced.err().map(|error| chain(&error)));
        errors.extend(unread);
    }

    /// Whether every program is on its device.
    fn attach(
        &self,
        overlay: Option<&link::Device>,
        devices: &[link::Device],
        whole: bool,
        errors: &mut Vec<String>,
    ) -> bool {
        let mut attached = true;
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let own = devices.iter().map(|device| (device, Program::FromNetdev, Program::ToNetdev));
        let all = overlay.iter().map(|device| (*device, Program::FromOverlay, Program::ToOverlay)).chain(own);
        let mut names = Vec::new();
        for (device, ingress, egress) in all {
            names.push(device.name.as_str());
            // What leaves first, so that nothing comes in that could not be answered.
            for (program, direction) in [(egress, Direction::Egress), (ingress, Direction::Ingress)] {
                if let Err(error) = programs.attach_device(program, &device.name, device.ifindex, direction) {
                    errors.push(chain(&error));
                    attached = false;
                }
            }
        }
        if devices.is_empty() {
            errors.push(
                "no device of this node holds its InternalIPs: correct the Node object's, or name devices (--devices)"
                    .into(),
            );
            return attached;
        }
        if whole && let Err(error) = programs.detach_others(&names) {
            errors.push(chain(&error));
        }
        attached
    }
}

/// The overlay device's name.
pub const OVERLAY: &str = "ferrule-vxlan";
/// Where neither a device nor a path tells: Ethernet's.
const DEFAULT_MTU: u32 = 1500;

/// Whether some path to another node is of another family than this node's first address.
fn mixed(underlay: &Underlay, own_ips: &[IpAddr]) -> bool {
    let first = own_ips.first().is_some_and(IpAddr::is_ipv6);
    !own_ips.is_empty() && underlay.paths.keys().all(|ip| ip.is_ipv6() != first) && !underlay.paths.is_empty()
}

fn removes(step: &Step) -> bool {
    matches!(step, Step::RemoveNode(_) | Step::RemovePeer(_) | Step::RemovePrefix(_) | Step::RemoveCluster(_))
}

/// Locally administered, and another one for each node: the kernel's loop check drops a packet whose inner source is
/// the receiving device's own.
fn overlay_mac(node: &str) -> [u8; 6] {
    let hash = node
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let bytes = hash.to_be_bytes();
    [0x02, bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]]
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
