//! How soon an agent knows what the API server holds, its memory, and what changes of pods cost it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ferrule_model::testing::hard::Hard;
use futures::{StreamExt, TryStreamExt, stream};
use test_kit::topology::{Netns, Node, Prefix, until_within};
use tokio::time::MissedTickBehavior;

use super::{
    objects::{NODE, POD_CIDRS, Size},
    server::Server,
};
use crate::{
    lab::api::{Api, PARALLEL, send},
    process,
    row::Row,
    settings::Settings,
};

const SCENARIO: &str = "kubernetes";
const SUBJECT: &str = "ferrule";
/// Of all pods, the looking node's included.
const CLUSTER_CIDRS: &str = "10.0.0.0/8,fd00:128::/32,fd00:244::/32";
/// What is superseded has gone by then, and rounds of the reconciler without a reason are over.
const SETTLE: Duration = Duration::from_secs(20);
/// Changes a second.
const RATE: u32 = 100;
/// Nothing may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// All of it.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let size = if settings.quick {
        let hard = Hard { pods: 600, endpoints: 5, policies_here: 50, policies_elsewhere: 50 };
        Size { hard, nodes: 50, services: 50 }
    } else {
        let hard = Hard { pods: 30_000, endpoints: 110, policies_here: 1_000, policies_elsewhere: 4_000 };
        Size { hard, nodes: 1_000, services: 5_000 }
    };
    let server = Server::start()?;
    let prefix = Prefix::of_a_test();
    let netns = Netns::new(&format!("{prefix}-{NODE}"))?;
    let addresses = server.join(NODE, &netns)?;
    fill(&server.api(), &size, &addresses)?;
    let cidrs = POD_CIDRS.map(str::to_owned).to_vec();
    let kubeconfig = server.kubeconfig("admin").display().to_string();
    let arguments =
        ["--source", "kubernetes", "--kubeconfig", &kubeconfig, "--cluster-cidrs", CLUSTER_CIDRS].map(str::to_owned);
    let node = Node::new(&prefix, NODE, netns, (addresses, cidrs), arguments.to_vec())?;
    let measured = watch(settings, &size, &server.api(), &node);
    drop(node);
    prefix.remove_all();
    measured
}

/// Tells the API server everything.
fn fill(api: &Api, size: &Size, internal: &[std::net::IpAddr]) -> Result<()> {
    let start = Instant::now();
    let objects = size.hard.objects();
    for calls in size.ground(internal) {
        api.all(calls)?;
    }
    api.all(size.rest(&objects))?;
    api.all(size.statuses(&objects))?;
    eprintln!("{SCENARIO}: the API server was told everything in {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn watch(settings: &Settings, size: &Size, api: &Api, node: &Node) -> Result<Vec<Row>> {
    // Each has an address of each family.
    let others = 2 * u64::from(size.hard.pods - size.hard.endpoints);
    let start = Instant::now();
    node.start_within(LIMIT)?;
    let status = || node.ferrule("status").unwrap_or_else(|error| error.to_string().into());
    let known = until_within(LIMIT, "all that the API server holds", status, |status| {
        // The API server has a Service of its own.
        status["remotePods"] == others && status["services"] == size.services + 1
    })?;
    let synced = start.elapsed().as_secs_f64();
    ensure!(known["errors"].as_array().is_some_and(Vec::is_empty), "the agent has errors: {}", known["errors"]);
    let mut pods = Vec::new();
    for number in 0..size.hard.endpoints {
        let name = size.hard.pod(number).name;
        pods.push(node.add_object(&name.namespace, &name.name, node.pod_netns(&name.name)?)?);
    }
    let tables = u64::from(size.hard.endpoints) * 2;
    until_within(LIMIT, "policies", status, |status| status["policyTables"].as_u64().is_some_and(|all| all >= tables))?;
    if !settings.quick {
        thread::sleep(SETTLE);
    }
    let agent = node.agent_process()?;
    let rows = |name: &str, value, unit| Row::once(SCENARIO, name, SUBJECT, value, unit);
    let mut all = vec![
        rows("start_to_synced", synced, "s"),
        rows("agent_rss", process::memory(agent, "VmRSS")?, "MB"),
        rows("agent_rss_peak", process::memory(agent, "VmHWM")?, "MB"),
        rows("maps", process::maps(agent)?, "MB"),
    ];
    let time = Duration::from_secs(if settings.quick { 2 } else { 20 });
    let quiet = burnt(agent, || {
        thread::sleep(time);
        Ok(())
    })?;
    let busy = burnt(agent, || {
        let took = changes(api, size, time)?;
        // So short a run says nothing of a machine that stalls once.
        ensure!(settings.quick || took < time.mul_f64(1.1), "changes took {took:?} in place of {time:?}");
        Ok(())
    })?;
    all.push(rows("cpu_quiet", quiet * 100.0, "% of a CPU"));
    all.push(rows("cpu_changes", busy * 100.0, "% of a CPU"));
    all.push(rows("agent_rss_after", process::memory(agent, "VmRSS")?, "MB"));
    drop(pods);
    Ok(all)
}

/// Changes pods at [`RATE`]; how long that took.
fn changes(api: &Api, size: &Size, time: Duration) -> Result<Duration> {
    api.with(async |client| {
        let (start, count) = (Instant::now(), u32::try_from(time.as_secs())? * RATE);
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let calls = stream::unfold((ticks, 0), |(mut ticks, number)| async move {
            if number == count {
                return None;
            }
            ticks.tick().await;
            Some((size.change(number), (ticks, number + 1)))
        });
        let sent = calls.map(|call| send(&client, call)).buffer_unordered(PARALLEL);
        sent.try_for_each(|()| async { Ok(()) }).await?;
        Ok(start.elapsed())
    })
}

/// The part of a CPU that a process took meanwhile.
fn burnt(process: u32, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let (before, start) = (process::time(process)?, Instant::now());
    work()?;
    Ok((process::time(process)? - before).as_secs_f64() / start.elapsed().as_secs_f64())
}
