//! An agent that finds many Nodes and Pods when it starts.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Cluster, Families, Layout, Prefix, manifest, until};

use super::memory;
use crate::{row::Row, settings::Settings};

/// How long an agent is left alone before its memory is read: one round of the reconciler without a reason is over.
const SETTLE: Duration = Duration::from_secs(15);

/// Makes the agent tell how long each round of its reconciler took.
const TELL: &[&str] = &["--cluster-cidrs", "10.128.0.0/10", "--log-level", "info,ferrule_agent::reconcile=debug"];

/// Its memory, its maps' memory, and how long it took.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let (pods, underlay) = (Families::V4, Families::V4);
    let layout = Layout { nodes: 1, pods, underlay, arguments: TELL, ..Layout::default() };
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
    let log = fs::read_to_string(node.folder().join("agent.log")).context("the agent's log")?;
    // An agent of before it told this gives no figure.
    rows.extend(to_maps(&log, wanted).map(|time| Row::once("scale", "objects_to_maps", "ferrule", time, "s")));
    rows.extend(memory::of("scale", node.agent_process()?)?);
    Ok(rows)
}

/// Seconds from decoded objects to maps, from the first line of the agent's log that tells of all pods, such as
/// `DEBUG objects are in the maps nodes=1000 remote_pods=100000 milliseconds=950`.
fn to_maps(log: &str, pods: u64) -> Option<f64> {
    let field = |line: &str, name: &str| {
        line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse::<u32>().ok())
    };
    let lines = log.lines().filter(|line| line.contains("objects are in the maps"));
    let mut all = lines.filter(|line| field(line, "remote_pods").is_some_and(|found| u64::from(found) == pods));
    all.find_map(|line| field(line, "milliseconds")).map(|milliseconds| f64::from(milliseconds) / 1000.0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_has_all_pods_counts() {
        let log = "INFO ready\nDEBUG objects are in the maps nodes=1 remote_pods=7 milliseconds=3\n\
                   DEBUG objects are in the maps nodes=2 remote_pods=9 milliseconds=950\n\
                   DEBUG objects are in the maps nodes=2 remote_pods=9 milliseconds=4\n";
        assert_eq!(to_maps(log, 9), Some(0.95));
        assert_eq!(to_maps(log, 8), None);
    }
}
