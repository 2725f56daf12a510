//! How long the policy compiler takes for one change of a big cluster:
//! `cargo run --release -p ferrule-model --features testing --example policy-speed`.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ferrule_model::{
    objects::Objects,
    policy::{Change, Endpoint, Engine, Limits, Step},
    selector::Labels,
    testing::hard::Hard,
};

fn main() {
    for size in
        [Hard { policies_elsewhere: 0, ..Hard::default() }, Hard::default(), Hard { pods: 100_000, ..Hard::default() }]
    {
        println!("{size:?}");
        let objects = size.objects();
        dormant(&objects);
        measure(size, &objects);
    }
}

fn dormant(objects: &Objects) {
    let pods: Vec<_> = objects.pods.iter().map(|(name, pod)| Change::Pod(name.clone(), Some(pod.clone()))).collect();
    let before = resident();
    let mut engine = Engine::new(Limits::default(), 1, BTreeSet::new());
    let steps = engine.apply(pods);
    println!("  dormant: {} steps, {} KiB", steps.len(), resident().saturating_sub(before));
}

fn measure(size: Hard, objects: &Objects) {
    let mut engine = Engine::new(Limits::default(), 1, BTreeSet::new());
    let namespaces = objects.namespaces.iter().map(|(name, one)| Change::Namespace(name.clone(), Some(one.clone())));
    let pods = objects.pods.iter().map(|(name, one)| Change::Pod(name.clone(), Some(one.clone())));
    let policies = objects.policies.iter().map(|(name, one)| Change::Policy(name.clone(), Some(one.clone())));
    let leases = size.leases().into_iter().map(|one| {
        Change::Endpoint(one.index, Some(Endpoint { addresses: one.addresses, pod: one.pod, uid: Some(one.uid) }))
    });
    let changes: Vec<_> = namespaces.chain(pods).chain(policies).chain(leases).collect();
    let (before, started) = (resident(), Instant::now());
    let steps = engine.apply(changes);
    let took = started.elapsed();
    println!("  from nothing: {took:?}, {} steps, {} KiB, {:?}", steps.len(), resident() - before, engine.summary());
    drop(steps);

    let rounds = 2_000;
    many("a policy that selects an endpoint: a port", &mut engine, rounds, |at| {
        let policy = size.policy(at % size.policies_here, 81 + u16::try_from(at / size.policies_here).unwrap_or(0));
        Change::Policy(policy.name.clone(), Some(policy.into()))
    });
    many("a policy that selects an endpoint: its peers and block", &mut engine, rounds, |at| {
        let mut policy = size.policy(at % size.policies_here, 90);
        let other = size.policy((at + 5_003) % (size.policies_here + 9_000), 90);
        policy.ingress = other.ingress;
        policy.egress = other.egress;
        Change::Policy(policy.name.clone(), Some(policy.into()))
    });
    many("a policy goes and comes", &mut engine, rounds, |at| {
        let policy = size.policy(at / 2 % size.policies_here, 91);
        Change::Policy(policy.name.clone(), (at % 2 == 1).then(|| policy.into()))
    });
    many("a pod's labels that policies look at", &mut engine, rounds, |at| {
        let mut pod = size.pod((at * 7 + 9_973) % size.pods);
        pod.labels = [("id", format!("other-{at}"))].into_iter().collect::<Labels>();
        Change::Pod(pod.name.clone(), Some(Arc::new(pod)))
    });
    many("a pod's labels that no policy looks at", &mut engine, rounds, |at| {
        let mut pod = size.pod(size.endpoints + at);
        pod.labels = pod.labels.iter().chain([("x", &*at.to_string())]).collect();
        Change::Pod(pod.name.clone(), Some(Arc::new(pod)))
    });
    many("a pod comes and goes", &mut engine, rounds, |at| {
        let pod = size.pod(size.pods + at / 2);
        Change::Pod(pod.name.clone(), (at % 2 == 0).then(|| pod.into()))
    });
    many("an endpoint comes and goes", &mut engine, rounds, |at| {
        let lease = size.leases().swap_remove((at / 2 % size.endpoints) as usize);
        let endpoint = Endpoint { addresses: lease.addresses, pod: lease.pod, uid: Some(lease.uid) };
        Change::Endpoint(lease.index, (at % 2 == 1).then_some(endpoint))
    });
    many("a namespace's labels", &mut engine, rounds, |at| {
        let mut namespace = size.namespace(at % 100);
        namespace.labels = [("team", format!("team-{}", at % 3))].into_iter().collect::<Labels>();
        Change::Namespace(namespace.name.clone(), Some(namespace.into()))
    });
    println!("  in the end: {} KiB, {:?}, {} issues", resident() - before, engine.summary(), engine.issues().len());
}

/// Times single changes, with a retirement now and then.
fn many(what: &str, engine: &mut Engine, rounds: u32, change: impl Fn(u32) -> Change) {
    let (mut times, mut retired, mut writes) = (Vec::new(), Duration::ZERO, 0);
    for at in 0..rounds {
        let change = change(at);
        let started = Instant::now();
        let steps = engine.apply([change]);
        times.push(started.elapsed());
        writes += steps.iter().map(size_of_step).sum::<usize>();
        if at % 100 == 99 {
            let started = Instant::now();
            drop(engine.retire());
            retired = retired.max(started.elapsed());
        }
    }
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 1000];
    let writes = writes / rounds as usize;
    println!("  {what}: p50 {:?}, p99 {:?}, max {:?}; {writes} writes; retire {retired:?}", at(500), at(990), at(999));
}

fn size_of_step(step: &Step) -> usize {
    match step {
        Step::InsertRules(rules) => rules.len(),
        Step::RemoveRules(keys) => keys.len(),
        Step::SetWords(words) => words.len(),
        _ => 1,
    }
}

/// In KiB.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4
}
