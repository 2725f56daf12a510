//! What a kubelet reckons for a pod's sandbox, with Ferrule and with the CNI project's bridge plugin on the same node.

use std::{fs, path::PathBuf, thread, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use test_kit::cluster::{Cluster, Node, process::wait};

use super::{
    percentiles::SCENARIO,
    workload::{LIMIT, Space},
};
use crate::{
    row::Row,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// Pods of one turn.
const PODS: u32 = 5;
/// Before Ferrule's: runtimes take the first.
const CONFIGURATION: &str = "00-bench.conflist";
/// The kubelet's own measure of what it asks its runtime for, in seconds. (`kubelet_run_podsandbox_duration_seconds` of 1.34 says
/// microseconds: it is taken before the sandbox is made.)
const METRIC: &str = "kubelet_runtime_operations_duration_seconds";
const OPERATION: &str = "operation_type=\"run_podsandbox\"";
const SUBJECTS: [&str; 2] = ["bridge", "ferrule"];
/// What their pods' addresses begin with.
const SUBNETS: [&str; 2] = ["10.99.", "10.244."];
/// How long the runtime may take to read its configuration anew; that it did is seen by the pods' addresses.
const REREAD: Duration = Duration::from_secs(1);

/// Pods in alternating turns.
pub fn run(settings: &Settings, cluster: &Cluster) -> Result<Vec<Row>> {
    let rounds = if settings.quick { 1 } else { 12 };
    let node = &cluster.nodes()[1];
    let space = Space::new(cluster, "bench-sandbox")?;
    let folder = node.machine.root()?.join("etc/cni/net.d");
    let file = folder.join(CONFIGURATION);
    plugins(node)?;
    let mut values = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let at = (turn + round) % 2;
            if at == 0 {
                fs::write(&file, bridge().to_string()).with_context(|| file.display().to_string())?;
            }
            thread::sleep(REREAD);
            let value = start(&space, node, SUBNETS[at]);
            if at == 0 {
                fs::remove_file(&file)?;
            }
            values[at].push(value?);
        }
    }
    let rows = SUBJECTS.into_iter().zip(&values).map(|(subject, own)| {
        let row = Row::rounds(SCENARIO, "sandbox", subject, Estimate::of(own.iter().copied()), "ms");
        row.beside("bridge", ratios(own, &values[0]))
    });
    Ok(rows.collect())
}

fn bridge() -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0", "name": "bench",
        "plugins": [
            {
                "type": "bridge", "bridge": "bench0", "isGateway": true,
                "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}], [{"subnet": "fd00:99::/64"}]]},
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
}

/// Gives the node the plugins of the bridge network.
fn plugins(node: &Node) -> Result<()> {
    for name in ["bridge", "host-local"] {
        let (from, to) =
            (PathBuf::from("/usr/lib/cni").join(name), node.machine.root()?.join("opt/cni/bin").join(name));
        fs::copy(&from, &to).with_context(|| from.display().to_string())?;
    }
    Ok(())
}

/// Starts some pods, and takes them away; the mean of their sandboxes' times, in milliseconds.
fn start(space: &Space<'_>, node: &Node, subnet: &str) -> Result<f64> {
    let before = measured(space.cluster, node)?;
    let pods: Vec<_> = (0..PODS).map(|number| space.pod(&format!("pod-{number}"), node.name())).collect();
    space.apply(&pods)?;
    wait("the pods run", LIMIT, || {
        let phases = space.kubectl("get pods -o jsonpath={.items[*].status.phase}")?;
        if phases.split(' ').filter(|phase| *phase == "Running").count() == PODS as usize {
            Ok(())
        } else {
            bail!("{phases}")
        }
    })?;
    let after = measured(space.cluster, node)?;
    let addresses = space.kubectl("get pods -o jsonpath={.items[*].status.podIP}")?;
    ensure!(addresses.split(' ').all(|address| address.starts_with(subnet)), "not all of {subnet}: {addresses}");
    space.kubectl("delete pods --all --grace-period=1 --wait=false")?;
    space.cleared()?;
    Ok((after.0 - before.0) / (after.1 - before.1) * 1_000.0)
}

/// The sum and the number of a kubelet's times.
fn measured(cluster: &Cluster, node: &Node) -> Result<(f64, f64)> {
    let path = format!("/api/v1/nodes/{}/proxy/metrics", node.name());
    let text = cluster.kubectl(&["get", "--raw", &path])?;
    let number = |name: &str| {
        let prefix = format!("{METRIC}_{name}{{");
        let lines = text.lines().filter(|line| line.starts_with(&prefix) && line.contains(OPERATION));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>()
    };
    Ok((number("sum"), number("count")))
}
