//! How long a policy's change takes: from the store's input to the store of the endpoint's word, through the agent's own
//! task, compiler and maps.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::maps::{Array, Map, MapData};
use ferrule_agent::{config::Options, flows::Flows, policy::Policy};
use ferrule_common::policy::Word;
use ferrule_kernel::{
    bpf,
    bpf::{Globals, Pins},
};
use ferrule_model::{objects::Objects, policy::Endpoint, testing::hard::Hard};
use ferrule_source::{
    store,
    store::{Reader, Snapshot, Writer},
};
use test_kit::topology::until_within;

use super::cluster::cluster;
use crate::{lab::Place, row::Row, settings::Settings};

/// Between two changes, so that each meets an agent at rest.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two looks whether it is in force: the figures are too large by as much.
const LOOK: Duration = Duration::from_micros(20);
/// What is measured: the agent's own policy task.
const SUBJECT: &str = "agent";
/// No change may take longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Changes of policies, one after the other.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let size = cluster(settings);
    let changes = if settings.quick { 40 } else { 1_000 };
    let mut agent = Agent::start(size)?;
    let mut rows = Vec::new();
    let [mut copies, mut work, mut times] = [const { Vec::new() }; 3];
    for _ in 0..changes {
        let (copy, time) = agent.change()?;
        thread::sleep(PAUSE);
        copies.push(copy);
        times.push(time);
        work.extend(agent.policy.summary().1.map(milliseconds));
    }
    for (metric, values) in [("source_copy", &mut copies), ("work", &mut work), ("in_force", &mut times)] {
        values.sort_by(f64::total_cmp);
        for part in [50, 99] {
            let value = values[values.len() * part / 100];
            eprintln!("policy: {metric}_p{part}: {value:.2} ms");
            rows.push(Row::once("policy", &format!("{metric}_p{part}"), SUBJECT, value, "ms"));
        }
    }
    Ok(rows)
}

/// What the agent does with policies, in this process.
struct Agent {
    size: Hard,
    objects: Arc<Objects>,
    writer: Writer,
    words: Array<MapData, Word>,
    policy: Arc<Policy>,
    /// How many changes there were.
    changes: u32,
    _runtime: tokio::runtime::Runtime,
    _place: Place,
}

impl Agent {
    fn start(size: Hard) -> Result<Self> {
        let place = Place::new();
        let pins = Pins::new(place.pins());
        let options = Options { node_name: Some(place.name("node")), ..Options::default() };
        let loaded = bpf::load(&pins, &Globals::new(&options.check()?.datapath()))?;
        let words = Array::try_from(Map::Array(MapData::from_pin(pins.map("fr_ep_state"))?))?;
        let (writer, reader) = store::store(ferrule_model::desired::Own::default());
        let policy = Arc::new(Policy::new(loaded.policy, Arc::new(Flows::new(loaded.flows)), reader.clone()));
        for lease in size.leases() {
            let endpoint = Endpoint { addresses: lease.addresses, pod: lease.pod, uid: Some(lease.uid) };
            policy.know(lease.index, endpoint);
        }
        policy.all_known();
        let runtime = follow(&policy, reader)?;
        let objects = Arc::new(size.objects());
        let (changes, known) = (0, Arc::clone(&policy));
        let mut agent = Self { size, objects, writer, words, policy: known, changes, _runtime: runtime, _place: place };
        agent.writer.replace(agent.snapshot());
        until_within(LIMIT * 6, "policies", || policy.is_ready(), |ready| *ready)?;
        let (summary, issues) = (policy.summary().0, policy.issues());
        ensure!(issues.is_empty(), "not all policies are in force: {}", issues[0]);
        ensure!(summary.tables >= 2 * size.endpoints as usize, "only {} tables are in force", summary.tables);
        Ok(agent)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { objects: Arc::clone(&self.objects), synced: true, whole: true, ..Snapshot::default() }
    }

    /// Moves a port of a policy that selects one endpoint. Gives how long the maps of objects took to copy, which is the
    /// source's part, and how long it took until the word was stored, in milliseconds.
    fn change(&mut self) -> Result<(f64, f64)> {
        let number = self.changes % self.size.policies_here;
        // Another port than the one before, whose own is 80.
        let port = 81 + u16::try_from(self.changes / self.size.policies_here)?;
        self.changes += 1;
        let policy = self.size.policy(number, port);
        let name = policy.name.clone();
        let copying = Instant::now();
        let mut objects = Objects::clone(&self.objects);
        objects.policies.insert(name.clone(), policy.into());
        let copied = copying.elapsed();
        self.objects = objects.into();
        let index = number % self.size.endpoints + 1;
        let before = self.words.get(&index, 0)?;
        let snapshot = self.snapshot();
        let started = Instant::now();
        self.writer.replace(snapshot);
        while self.words.get(&index, 0)? == before {
            ensure!(started.elapsed() < LIMIT, "policy {number} is not in force after {LIMIT:?}");
            // Who only looked would keep the agent's threads from this CPU.
            thread::sleep(LOOK);
        }
        Ok((milliseconds(copied), milliseconds(started.elapsed())))
    }
}

fn follow(policy: &Arc<Policy>, reader: Reader) -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("no runtime")?;
    runtime.spawn(Arc::clone(policy).run(reader));
    Ok(runtime)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
