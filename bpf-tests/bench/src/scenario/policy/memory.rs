//! What an agent takes that enforces many policies in a big cluster: its own memory and all of its maps.

use std::{fs, sync::Arc, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use ferrule_model::objects::{self, Objects};
use test_kit::topology::{Cluster, Layout, Pod, until_within};

use super::{cluster::cluster, manifest};
use crate::{process, row::Row, settings::Settings};

/// What is superseded has gone by then, and one round of the reconciler without a reason is over.
const SETTLE: Duration = Duration::from_secs(20);

/// With an agent, its plugin and as many pods as the cluster has on this node.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let size = cluster(settings);
    let running = Cluster::start(&Layout { nodes: 1, ..Layout::default() })?;
    let node = &running.nodes[0];
    let objects = size.objects();
    let mut local = Vec::new();
    for number in 0..size.endpoints {
        let name = size.pod(number).name;
        let netns = node.pod_netns(&name.name)?;
        local.push(node.add_object(&name.namespace, &name.name, netns)?);
    }
    let text = manifest::lines(&with_leases(objects, size.endpoints, |number| size.pod(number), &local, &node.name));
    // Written aside, and then there as a whole.
    let (aside, path) = (running.manifests.folder().join(".objects"), running.manifests.folder().join("objects.json"));
    fs::write(&aside, text).and_then(|()| fs::rename(&aside, &path)).with_context(|| path.display().to_string())?;
    let tables = u64::from(size.endpoints) * 2;
    let status = || node.ferrule("status").unwrap_or_else(|error| error.to_string().into());
    let found = until_within(Duration::from_secs(120), "policies", status, |status| {
        status["policyTables"].as_u64().is_some_and(|found| found >= tables)
    })?;
    let errors = found["errors"].as_array().context("the status has no errors")?;
    ensure!(errors.is_empty(), "the agent has errors: {errors:?}");
    if !settings.quick {
        thread::sleep(SETTLE);
    }
    let agent = node.agent_process()?;
    let (own, maps) = (process::memory(agent, "VmRSS")?, process::maps(agent)?);
    Ok(vec![
        Row::once("policy", "agent_rss", "ferrule", own, "MB"),
        Row::once("policy", "agent_rss_peak", "ferrule", process::memory(agent, "VmHWM")?, "MB"),
        Row::once("policy", "maps", "ferrule", maps, "MB"),
        Row::once("policy", "agent_rss_and_maps", "ferrule", own + maps, "MB"),
    ])
}

/// This node's pods have the addresses that they were given, and no uid: the plugin was told none.
fn with_leases(
    mut objects: Objects,
    endpoints: u32,
    pod: impl Fn(u32) -> objects::Pod,
    local: &[Pod],
    node: &str,
) -> Objects {
    for (number, lease) in (0..endpoints).zip(local) {
        let pod = pod(number);
        let own = objects::Pod { node: Some(node.into()), ips: lease.addresses.clone(), ..pod };
        objects.pods.insert(own.name.clone(), Arc::new(own));
    }
    objects
}
