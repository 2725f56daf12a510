//! What a packet of a hundred established flows takes, with few policies and peers and with many: the working set is the
//! same, the maps around it are not.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, Result, ensure};
use aya::{Ebpf, maps::HashMap};
use ferrule_common::{
    Address,
    peer::{self, Peer},
};
use ferrule_kernel::bpf::{PolicyMaps, policy_maps::RawPolicyMaps};
use ferrule_model::{
    objects::{Direction, NetworkPolicy, ObjectName, PolicyPeer, PolicyPort, PolicyRule, PortMatch, Protocol},
    policy::{self, Change, Engine, Limits},
    selector::{Requirement, Selector, Test},
    testing::hard::Hard,
};

use crate::{
    row::Row,
    scenario::runs,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// Ten policies and ten peers.
const FEW: Hard = Hard { pods: 10, endpoints: 2, policies_here: 10, policies_elsewhere: 0 };
/// Ten thousand policies and a hundred thousand peers.
const MANY: Hard = Hard { pods: 100_000, endpoints: 2, policies_here: 1_000, policies_elsewhere: 9_000 };
/// The same in a quick run.
const SOME: Hard = Hard { pods: 2_000, endpoints: 2, policies_here: 50, policies_elsewhere: 50 };
const GENERATION: u32 = 1;
const PACKETS: u32 = 20_000;

/// Times of both, in alternating rounds.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let (mut few, mut many) = (load(FEW)?, load(if settings.quick { SOME } else { MANY })?);
    // So that all flows are established.
    for ebpf in [&mut few, &mut many] {
        runs::time(ebpf, "time_flows", PACKETS)?;
    }
    let mut values = [Vec::new(), Vec::new()];
    for round in 0..settings.rounds {
        for turn in 0..2 {
            let at = (turn + round) % 2;
            let ebpf = if at == 0 { &mut few } else { &mut many };
            let own = runs::time(ebpf, "time_flows", PACKETS)?;
            values[at].push(own - runs::time(ebpf, "time_wrapper", PACKETS)?);
        }
    }
    let rows = ["few", "many"].into_iter().zip(&values).map(|(subject, own)| {
        let row = Row::rounds("policy", "run_100_flows", subject, Estimate::of(own.iter().copied()), "ns");
        row.beside("few", ratios(own, &values[0]))
    });
    Ok(rows.collect())
}

/// The tests' object, with the compiled policies of a cluster, whose first two pods may reach each other.
fn load(size: Hard) -> Result<Ebpf> {
    let mut ebpf = runs::load(&["time_flows", "time_wrapper"])?;
    let mut engine = Engine::new(Limits::default(), GENERATION, BTreeSet::new());
    let objects = size.objects();
    let namespaces = objects.namespaces.iter().map(|(name, one)| Change::Namespace(name.clone(), Some(one.clone())));
    let pods = objects.pods.iter().map(|(name, one)| Change::Pod(name.clone(), Some(one.clone())));
    let policies = objects.policies.iter().map(|(name, one)| Change::Policy(name.clone(), Some(one.clone())));
    let meet =
        (0..2).map(|pod| meet(&size.pod(pod).name)).map(|one| Change::Policy(one.name.clone(), Some(one.into())));
    let leases = size.leases().into_iter().map(|one| {
        let endpoint = policy::Endpoint { addresses: one.addresses, pod: one.pod, uid: Some(one.uid) };
        Change::Endpoint(one.index, Some(endpoint))
    });
    let steps = engine.apply(namespaces.chain(pods).chain(policies).chain(meet).chain(leases).collect::<Vec<_>>());
    ensure!(engine.issues().is_empty(), "not all policies fit");
    let mut take = |name: &'static str| ebpf.take_map(name).with_context(|| format!("the object has no {name}"));
    let mut maps = PolicyMaps::new(RawPolicyMaps {
        words: take("fr_ep_state")?,
        tables: take("fr_tables")?,
        rules: take("fr_policy")?,
        classes: take("fr_classes")?,
        blocks: take("fr_blocks")?,
    })?;
    for step in &steps {
        maps.apply(step, GENERATION).with_context(|| step.to_string())?;
    }
    let mut peers: HashMap<_, Address, Peer> = take("fr_peers")?.try_into()?;
    for pod in objects.pods.values().skip(size.endpoints as usize) {
        for address in &pod.ips {
            peers.insert(Address::from(*address), Peer { node: 1, kind: peer::POD }, 0)?;
        }
    }
    runs::put_ends(&mut ebpf)?;
    Ok(ebpf)
}

/// Allows a pod every pod at the port of the packets.
fn meet(pod: &ObjectName) -> NetworkPolicy {
    let own = Requirement { key: "id".into(), test: Test::In(vec![pod.name.to_string()]) };
    let everybody = PolicyPeer::Pods { namespaces: Some(Selector::default()), pods: Selector::default() };
    let ports = vec![PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Range(runs::PORT, runs::PORT) }];
    let rule = PolicyRule { peers: vec![everybody], ports };
    NetworkPolicy {
        name: ObjectName::new(Arc::clone(&pod.namespace), format!("meet-{}", pod.name)),
        pod_selector: Selector::new(vec![own]),
        isolates: vec![Direction::Ingress, Direction::Egress],
        ingress: vec![rule.clone()],
        egress: vec![rule],
    }
}
