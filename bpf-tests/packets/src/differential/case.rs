//! One random case: the same history for the oracle and for the datapath.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use anyhow::{Context, Result};
use ferrule_common::{peer, sweep};
use ferrule_model::{
    objects::ObjectName,
    oracle::{Endpoint, Owner, Packet, Sender, World, flows::Flows},
    policy::{self, Change, Engine, Limits},
    testing::{Cluster, Event, Step, generate},
};

use crate::{
    datapath::{Datapath, Datapaths, Way},
    frame::frame,
};

/// The generation of classes; any will do.
const GENERATION: u32 = 1;

/// What was run.
#[derive(Default)]
pub struct Tally {
    /// Packets that both judged.
    pub packets: u64,
    /// Packets that both dropped.
    pub dropped: u64,
    /// Packets of flows that were there before.
    pub standing: u64,
    /// Changes.
    pub events: u64,
}

/// Who is at an address that is no local pod's, as far as the maps and flows go.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Remote {
    Node(u32),
    Pod { node: u32, name: ObjectName, uid: String },
}

/// A case that is being run.
struct Run<'a> {
    datapath: &'a mut Datapath,
    engine: Engine,
    cluster: Cluster,
    flows: Flows,
    /// Peers as they are in the maps.
    remote: BTreeMap<IpAddr, Remote>,
    nodes: BTreeMap<String, u32>,
}

/// Runs a case; a text for each packet on which the two differ.
pub fn run(datapaths: &mut Datapaths, seed: u64, tally: &mut Tally) -> Result<Vec<String>> {
    let case = generate(seed);
    let mut differences = Vec::new();
    let mut run = Run::start(datapaths.of(case.cluster.own_node_egress), case.cluster)?;
    let mut history: Vec<String> = Vec::new();
    for (number, step) in case.steps.into_iter().enumerate() {
        match step {
            Step::Event(event) => {
                history.push(format!("{event:?}"));
                tally.events += 1;
                run.happen(event, number)?;
            }
            Step::Packet(packet) => {
                let Some(way) = run.way(&packet, number) else { continue };
                let sender = run.cluster.sender(packet.source);
                let expected = run.flows.see(&run.cluster.world(), &packet, sender);
                let mac = run.mac(packet.source);
                let passed = run.datapath.passes(way, &frame(&packet, mac)?)?;
                tally.packets += 1;
                tally.dropped += u64::from(!passed);
                tally.standing += u64::from(expected.role != ferrule_model::oracle::flows::Role::New);
                history.push(format!("{packet:?} {way:?} {:?}: {}", expected.role, expected.passes()));
                if passed != expected.passes() {
                    differences.push(format!(
                        "seed {seed} step {number}: {packet:?} by {way:?}: the datapath says {passed}, the oracle \
                         {expected:#?}\n{}\n{:#?}",
                        history.join("\n"),
                        run.cluster
                    ));
                    break;
                }
            }
        }
    }
    run.end()?;
    Ok(differences)
}

impl<'a> Run<'a> {
    fn start(datapath: &'a mut Datapath, cluster: Cluster) -> Result<Self> {
        let mut nodes = BTreeMap::new();
        let others = cluster.objects.nodes.values().filter(|node| *node.name != *cluster.node_name);
        for (index, node) in (1..).zip(others) {
            let of = |v4| node.internal_ips.iter().copied().find(|ip| ip.is_ipv4() == v4).context("an InternalIP");
            datapath.maps.set_node(index, of(true)?, of(false)?)?;
            nodes.insert(node.name.to_string(), index);
        }
        nodes.insert(cluster.node_name.clone(), peer::SELF);
        let engine = Engine::new(Limits::default(), GENERATION, BTreeSet::new());
        let mut run = Run { datapath, engine, cluster, flows: Flows::default(), remote: BTreeMap::new(), nodes };
        let objects = &run.cluster.objects;
        let namespaces =
            objects.namespaces.iter().map(|(name, one)| Change::Namespace(name.clone(), Some(one.clone())));
        let pods = objects.pods.iter().map(|(name, one)| Change::Pod(name.clone(), Some(one.clone())));
        let policies = objects.policies.iter().map(|(name, one)| Change::Policy(name.clone(), Some(one.clone())));
        let endpoints = run.cluster.endpoints.iter().map(|one| Change::Endpoint(one.index, Some(leased(one))));
        let changes: Vec<Change> = namespaces.chain(pods).chain(policies).chain(endpoints).collect();
        for endpoint in run.cluster.endpoints.clone() {
            let mac = mac(endpoint.index);
            run.datapath.maps.set_endpoint(endpoint.index, mac, &endpoint.addresses)?;
        }
        run.follow_peers()?;
        run.compile(changes)?;
        run.flows.changed(&run.cluster.world());
        Ok(run)
    }

    fn compile(&mut self, changes: Vec<Change>) -> Result<()> {
        for step in self.engine.apply(changes) {
            self.datapath.maps.apply(&step, GENERATION).with_context(|| step.to_string())?;
        }
        Ok(())
    }

    fn happen(&mut self, event: Event, number: usize) -> Result<()> {
        let before = self.cluster.endpoints.clone();
        let mut changes = Vec::new();
        match &event {
            Event::Pod(pod) => changes.push(Change::Pod(pod.name.clone(), Some(Arc::new(pod.clone())))),
            Event::PodGone(name) => changes.push(Change::Pod(name.clone(), None)),
            Event::Namespace(one) => changes.push(Change::Namespace(one.name.clone(), Some(Arc::new(one.clone())))),
            Event::NamespaceGone(name) => changes.push(Change::Namespace(name.clone(), None)),
            Event::Policy(one) => changes.push(Change::Policy(one.name.clone(), Some(Arc::new(one.clone())))),
            Event::PolicyGone(name) => changes.push(Change::Policy(name.clone(), None)),
            Event::Endpoint(_) | Event::EndpointGone(_) => {}
        }
        self.cluster.apply(event);
        for gone in before.iter().filter(|one| !self.cluster.endpoints.contains(one)) {
            self.datapath.maps.remove_endpoint(gone.index, &gone.addresses)?;
            changes.push(Change::Endpoint(gone.index, None));
        }
        for new in self.cluster.endpoints.clone().iter().filter(|one| !before.contains(one)) {
            self.datapath.maps.set_endpoint(new.index, mac(new.index), &new.addresses)?;
            changes.push(Change::Endpoint(new.index, Some(leased(new))));
        }
        self.compile(changes)?;
        self.follow_peers()?;
        self.datapath.sweep(sweep::STALE, None)?;
        if number.is_multiple_of(3) {
            for step in self.engine.retire() {
                self.datapath.maps.apply(&step, GENERATION).with_context(|| step.to_string())?;
            }
        }
        self.flows.changed(&self.cluster.world());
        Ok(())
    }

    /// The maps of peers, as the reconciler keeps them; an address that changes hands takes no flow with it.
    fn follow_peers(&mut self) -> Result<()> {
        let world = self.cluster.world();
        let objects = world.objects;
        let addresses: BTreeSet<IpAddr> = objects
            .pods
            .values()
            .flat_map(|pod| pod.ips.iter().copied())
            .chain(objects.nodes.values().flat_map(|node| node.internal_ips.iter().copied()))
            .chain(self.remote.keys().copied())
            .collect();
        for address in addresses {
            let now = self.owner(&world, address);
            let before = self.remote.get(&address);
            if before == now.as_ref() {
                continue;
            }
            let changed_hands = before.is_some();
            match &now {
                // The map of peers has no pods of this node.
                Some(Remote::Pod { node: peer::SELF, .. }) => self.datapath.maps.forget_peer(address)?,
                Some(Remote::Node(node)) => self.datapath.maps.set_peer(address, *node, false)?,
                Some(Remote::Pod { node, .. }) => self.datapath.maps.set_peer(address, *node, true)?,
                None => self.datapath.maps.forget_peer(address)?,
            }
            match now {
                Some(now) => _ = self.remote.insert(address, now),
                None => _ = self.remote.remove(&address),
            }
            if changed_hands {
                self.datapath.sweep(sweep::OF_ADDRESS, Some(address))?;
            }
        }
        Ok(())
    }

    fn owner(&self, world: &World<'_>, address: IpAddr) -> Option<Remote> {
        let index = |name: &str| self.nodes.get(name).copied();
        match world.owner(address) {
            Owner::Node(name) => index(name).map(Remote::Node),
            Owner::Pod(pod) => {
                Some(Remote::Pod { node: index(pod.node.as_deref()?)?, name: pod.name.clone(), uid: pod.uid.clone() })
            }
            Owner::Endpoint(_) | Owner::Nobody => None,
        }
    }

    /// How a packet meets the datapath; none where it does not.
    fn way(&self, packet: &Packet, number: usize) -> Option<Way> {
        let world = self.cluster.world();
        if let Some(endpoint) = world.endpoint_at(packet.source) {
            return Some(Way::FromPod { endpoint: endpoint.index });
        }
        world.endpoint_at(packet.destination)?;
        let own = self.cluster.sender(packet.source) == Sender::NodeItself;
        let node = match self.remote.get(&packet.source) {
            Some(Remote::Pod { node, .. } | Remote::Node(node)) if *node != peer::SELF => Some(*node),
            _ => None,
        };
        match node {
            Some(node) if number.is_multiple_of(2) => {
                let name = self.nodes.iter().find(|(_, index)| **index == node)?.0;
                let ips = &world.objects.nodes.get(name.as_str())?.internal_ips;
                let outer = ips.iter().find_map(|ip| match ip {
                    IpAddr::V4(ip) => Some(ip.octets()),
                    IpAddr::V6(_) => None,
                })?;
                Some(Way::FromOverlay { node: outer })
            }
            _ => Some(Way::ToPod { own }),
        }
    }

    fn mac(&self, source: IpAddr) -> [u8; 6] {
        self.cluster.world().endpoint_at(source).map_or([6; 6], |endpoint| mac(endpoint.index))
    }

    fn end(self) -> Result<()> {
        self.datapath.sweep(sweep::ALL, None)?;
        self.datapath.maps.clear()
    }
}

fn mac(index: u32) -> [u8; 6] {
    let [a, b, c, d] = index.to_be_bytes();
    [2, 0, a, b, c, d]
}

fn leased(endpoint: &Endpoint) -> policy::Endpoint {
    policy::Endpoint {
        addresses: endpoint.addresses.clone(),
        pod: endpoint.pod.clone(),
        uid: (!endpoint.uid.is_empty()).then(|| endpoint.uid.clone()),
    }
}
