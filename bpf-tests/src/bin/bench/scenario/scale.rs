//! An agent that finds many Nodes and Pods when it starts.

use std::{
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bpf_tests::topology::{Cluster, Families, Layout, Prefix, manifest, until};

use super::memory;
use crate::{row::Row, settings::Settings};

/// How long an agent is left alone before its memory is read: one round of the reconciler without a reason is over.
const SETTLE: Duration = Duration::from_secs(15);

/// Its memory, its maps' memory, and how long it took.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let (pods, underlay) = (Families::V4, Families::V4);
    let layout = Layout { nodes: 1, pods, underlay, ..Layout::default() };
    let cluster = Cluster::prepare(Prefix::of_a_test(), &layout)?;
    for node in 0..settings.nodes {
        cluster.manifests.write(&format!("remote-{node}"), &objects(node, settings.pods))?;
    }
    let node = &cluster.nodes[0];
    let start = Instant::now();
    cluster.start_agents()?;
    let ready = start.elapsed().as_secs_f64();
    let status = || node.ferrule("status").unwrap_or_else(|error| error.to_string().into());
    let wanted = u64::from(settings.nodes) * u64::from(settings.pods);
    let found = until("all remote pods", status, |status| status["remotePods"].as_u64() == Some(wanted))?;
    let errors = found["errors"].as_array().context("the status has no errors")?;
    ensure!(errors.is_empty(), "the agent has errors: {errors:?}");
    if !settings.quick {
        thread::sleep(SETTLE);
    }
    let mut rows = vec![Row::once("scale", "start_to_ready", "ferrule", ready, "s")];
    rows.extend(memory::of("scale", node.agent_process()?)?);
    Ok(rows)
}

/// A Node and its Pods.
fn objects(number: u16, pods: u16) -> String {
    let [high, low] = number.to_be_bytes();
    let (name, internal_ip) = (format!("remote-{number}"), IpAddr::from(Ipv4Addr::new(172, 31, high, low)));
    let mut text = manifest::node(&name, &[format!("10.{}.{low}.0/24", 128 + high)], &[internal_ip]);
    for pod in 0..pods {
        let [_, last] = (pod + 2).to_be_bytes();
        let address = IpAddr::from(Ipv4Addr::new(10, 128 + high, low, last));
        text += &manifest::pod(&format!("{name}-pod-{pod}"), &name, &[address]);
    }
    text
}
