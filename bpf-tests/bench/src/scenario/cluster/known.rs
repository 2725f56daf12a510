//! From the return of ADD until every other node knows the pod's address. The bench takes the kubelet's part.

use std::{
    net::IpAddr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::{
    cluster::{Cluster, Node},
    topology::Invocation,
};

use super::{maps::Peers, percentiles::percentiles, workload::Space};
use crate::{row::Row, settings::Settings};

/// Between two looks: the figures are too large by as much.
const LOOK: Duration = Duration::from_micros(50);
/// No address may stay unknown for longer.
const LIMIT: Duration = Duration::from_secs(10);

/// Pods one after the other, on a node whose kubelet is dead.
pub fn run(settings: &Settings, cluster: &Cluster) -> Result<Vec<Row>> {
    let pods = if settings.quick { 3 } else { 100 };
    let nodes = cluster.nodes();
    let (own, others) = nodes.split_first().context("a node")?;
    let peers: Vec<Peers> = others.iter().map(Peers::open).collect::<Result<_>>()?;
    let space = Space::new(cluster, "bench-known")?;
    own.kill_kubelet()?;
    let measured = (0..pods).map(|number| one(&space, own, &peers, number)).collect::<Result<Vec<_>>>();
    own.start_kubelet()?;
    Ok(percentiles("address_known", measured?))
}

fn one(space: &Space<'_>, node: &Node, peers: &[Peers], number: u32) -> Result<f64> {
    let name = format!("pod-{number}");
    space.apply(&[space.pod(&name, node.name())])?;
    node.machine.run(&format!("ip netns add {name}"))?;
    let call = |command: &str| {
        let netns = PathBuf::from(format!("/run/netns/{name}"));
        let mut call = Invocation::new(command, &name, &netns, "/run/ferrule/agent.sock".as_ref());
        (call.namespace, call.pod) = (space.name.into(), name.clone());
        call.run_by(node.machine.command("/opt/cni/bin/ferrule-cni"))
    };
    let result = call("ADD")?;
    let returned = Instant::now();
    let addresses = addresses(&result)?;
    while !peers.iter().all(|known| addresses.iter().all(|address| known.has(*address))) {
        ensure!(returned.elapsed() < LIMIT, "{name} is not known after {LIMIT:?}");
        thread::sleep(LOOK);
    }
    let time = returned.elapsed();
    call("DEL")?;
    node.machine.run(&format!("ip netns del {name}"))?;
    space.kubectl(&format!("delete pod {name} --grace-period=0 --force --wait=false"))?;
    Ok(time.as_secs_f64() * 1_000.0)
}

fn addresses(result: &Value) -> Result<Vec<IpAddr>> {
    let ips = result["ips"].as_array().context("a result with addresses")?;
    let text = |ip: &Value| ip["address"].as_str().and_then(|text| text.split('/').next()).map(str::to_owned);
    ips.iter().map(|ip| Ok(text(ip).context("an address")?.parse()?)).collect()
}
