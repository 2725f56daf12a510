//! From the API server's answer to a policy's change until the last endpoint that it selects, on whichever node, has the
//! word that it means.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ferrule_common::policy::Word;
use serde_json::json;
use test_kit::cluster::Cluster;

use super::{
    maps::Words,
    percentiles::percentiles,
    workload::{Space, idle},
};
use crate::{
    lab::api::{Api, Call, send},
    row::Row,
    settings::Settings,
};

/// Pods altogether.
const PODS: usize = 60;
/// Endpoint indices that are looked at, from 1.
const ENDPOINTS: u32 = 250;
/// Between two looks: the figures are too large by as much.
const LOOK: Duration = Duration::from_micros(50);
/// Between two changes, so that each meets agents at rest.
const PAUSE: Duration = Duration::from_millis(50);
/// No change may take longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Changes of one policy that selects all pods.
pub fn run(settings: &Settings, cluster: &Cluster, api: &Api) -> Result<Vec<Row>> {
    let (pods, changes) = if settings.quick { (4, 5) } else { (PODS, 300) };
    let space = Space::new(cluster, "bench-in-force")?;
    space.apply(&[
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "bench", "namespace": space.name},
            "spec": {
                "replicas": pods,
                "selector": {"matchLabels": {"app": "bench"}},
                "template": {"metadata": {"labels": {"app": "bench"}}, "spec": idle(None)},
            },
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "bench", "namespace": space.name},
            "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]},
        }),
    ])?;
    space.kubectl("rollout status deployment/bench --timeout=180s")?;
    let words: Vec<Words> = cluster.nodes().iter().map(Words::open).collect::<Result<_>>()?;
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies/bench", space.name);
    let mut times = Vec::new();
    for change in 0..changes {
        let before = read(&words)?;
        let body = json!({"spec": {"ingress": [{"ports": [{"port": 1_000 + change}]}]}});
        let call = Call::merge(path.clone(), body);
        let accepted = thread::scope(|scope| {
            let asked = scope.spawn(|| {
                api.with(async |client| {
                    // The connection is there before the clock runs.
                    client.apiserver_version().await.context("the API server's version")?;
                    send(&client, call).await?;
                    Ok(Instant::now())
                })
            });
            let in_force = await_change(&words, &before, pods);
            let accepted = asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok::<_, anyhow::Error>(in_force?.saturating_duration_since(accepted))
        })?;
        times.push(accepted.as_secs_f64() * 1_000.0);
        thread::sleep(PAUSE);
    }
    Ok(percentiles("policy_in_force", times))
}

fn read(words: &[Words]) -> Result<Vec<Word>> {
    Ok(words.iter().map(|node| node.read(ENDPOINTS)).collect::<Result<Vec<_>>>()?.concat())
}

/// When so many words had changed.
fn await_change(words: &[Words], before: &[Word], count: usize) -> Result<Instant> {
    let start = Instant::now();
    loop {
        let now = read(words)?;
        let seen = Instant::now();
        let changed = now.iter().zip(before).filter(|(now, before)| now != before).count();
        if changed >= count {
            return Ok(seen);
        }
        ensure!(seen - start < LIMIT, "the change is in force at {changed} of {count} endpoints after {LIMIT:?}");
        thread::sleep(LOOK);
    }
}
