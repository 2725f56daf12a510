//! Policies that come and go while somebody watches: whether they are in force, and how soon.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use ferrule_api::view::Finding;
use kube::api::{AttachedProcess, DeleteParams, PostParams};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines, ReadHalf, SimplexStream},
    time::{Instant, timeout},
};

use super::{
    objects,
    plan::{Place, World},
    serve::PORT,
    stage::Stage,
    watch::Change,
};
use crate::operator;

/// How long a change may take to be in force.
const PATIENCE: Duration = Duration::from_secs(10);
const FIX: &str = "`ferrule policy list` and `ferrule status` on the pods' nodes say whether policies are in force, `ferrule policy \
                   explain FROM TO` why";

/// Somebody who asks all the while.
struct Watch {
    who: String,
    lines: Lines<BufReader<ReadHalf<SimplexStream>>>,
    /// What was told last.
    passes: Option<bool>,
    /// Ends the program when it is dropped.
    _process: AttachedProcess,
}

impl Watch {
    async fn start(stage: &Stage, from: &Place, to: SocketAddr) -> Result<Self> {
        let command = ["/usr/bin/ferrule", "connectivity", "watch", &to.to_string()];
        let mut process = operator::start(&stage.pods(), &from.pod, "main", &command).await?;
        let lines = BufReader::new(process.stdout().context("its output is asked for")?).lines();
        let who = if from.host { format!("node {}", from.node) } else { format!("pod on {}", from.node) };
        Ok(Self { who, lines, passes: None, _process: process })
    }

    /// Waits until it passes, or does not; how long after `since` that was.
    async fn until(&mut self, passes: bool, since: Instant) -> Result<Duration, String> {
        let turned = async {
            while self.passes != Some(passes) {
                let line = self.lines.next_line().await.map_err(|error| error.to_string())?;
                let line = line.ok_or("the watching program has ended")?;
                let change: Change = serde_json::from_str(&line).map_err(|error| error.to_string())?;
                self.passes = Some(change.passes);
                let began = Instant::now().checked_sub(Duration::from_micros(change.since_us));
                if change.passes == passes {
                    return Ok(began.map_or(Duration::ZERO, |began| began.saturating_duration_since(since)));
                }
            }
            Ok(Duration::ZERO)
        };
        let late = if passes { "it does not pass" } else { "it still passes" };
        timeout(PATIENCE, turned).await.unwrap_or_else(|_| Err(format!("{late} after {} s", PATIENCE.as_secs())))
    }
}

/// Denies and allows ways to one pod, from its own node and from another.
///
/// # Errors
/// Where the API server or a pod cannot be asked.
pub(super) async fn check(stage: &Stage, world: &World) -> Result<Vec<Finding>> {
    let find = |name: &str| world.places.iter().find(|place| place.pod == name);
    let (Some(to), Some(near)) = (find("b"), find("a")) else { return Ok(Vec::new()) };
    let address = SocketAddr::new(*to.ips.first().context("a pod has an address")?, PORT);
    let mut near = Watch::start(stage, near, address).await?;
    let mut others = Vec::new();
    for place in ["c", "host-1"].into_iter().filter_map(find) {
        others.push(Watch::start(stage, place, address).await?);
    }
    // Its own node always reaches a pod.
    let (mut own, mut far) = (None, None);
    for watch in others {
        let place = if watch.who.starts_with("node") { &mut own } else { &mut far };
        *place = Some(watch);
    }
    let mut findings = Vec::new();
    let mut told = |what: &str, who: &str, result: Result<Duration, String>| {
        findings.push(match result {
            Ok(after) => Finding::ok("policy", format!("{who}: {what} after {:.0} ms", after.as_secs_f64() * 1e3)),
            Err(words) => Finding::failure("policy", who, format!("{what}: {words}"), FIX),
        });
    };
    let start = Instant::now();
    for watch in [Some(&mut near), far.as_mut(), own.as_mut()].into_iter().flatten() {
        if let Err(words) = watch.until(true, start).await {
            told("passes before any policy", &watch.who, Err(words));
        }
    }
    let policies = stage.policies();
    let create = async |name: &str, allowed: Option<&str>| -> Result<Instant> {
        let object = serde_json::from_value(objects::policy(name, &to.pod, allowed))?;
        policies
            .create(&PostParams::default(), &object)
            .await
            .context("the API server refuses a policy of the test")?;
        Ok(Instant::now())
    };
    let denied = create("deny", None).await?;
    for watch in [Some(&mut near), far.as_mut()].into_iter().flatten() {
        let result = watch.until(false, denied).await;
        told("denied by a policy", &watch.who, result);
    }
    if let Some(own) = &mut own {
        // It would have been told by now.
        let still = timeout(Duration::from_millis(50), own.until(false, denied)).await;
        let result = if matches!(still, Ok(Ok(_))) { Err("it is denied".into()) } else { Ok(Duration::ZERO) };
        told("reaches its own pod all the same", &own.who, result);
    }
    let allowed = create("allow", Some("a")).await?;
    let result = near.until(true, allowed).await;
    told("allowed by a policy", &near.who, result);
    if let Some(far) = &mut far {
        policies.delete("deny", &DeleteParams::default()).await?;
        policies.delete("allow", &DeleteParams::default()).await?;
        let result = far.until(true, Instant::now()).await;
        told("passes again without policies", &far.who, result);
    }
    Ok(findings)
}
