//! How long plugins take: from the plugin's start to its end, as a runtime waits for it.

use std::{path::Path, thread, time::Instant};

use anyhow::Result;
use test_kit::topology::{Cluster, Families, Invocation, Layout, Netns};

use crate::{
    lab::{Kind, Place, PluginNode},
    row::Row,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// One of the plugins, on a node of its own.
struct Caller<'a> {
    subject: &'static str,
    node: &'a Netns,
    call: &'a (dyn Fn(&str, &str, &Path) -> Invocation + Sync),
}

/// ADD and DEL.
const COMMANDS: [(&str, &str); 2] = [("ADD", "add"), ("DEL", "del")];

/// One after another beside `bridge`, and at once beside one after another.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let (bridge, ptp) = (PluginNode::new(Kind::Bridge, [250, 1])?, PluginNode::new(Kind::Ptp, [250, 2])?);
    let (pods, underlay) = (Families::V4, Families::V4);
    let cluster = Cluster::start(&Layout { nodes: 1, pods, underlay, ..Layout::default() })?;
    let node = &cluster.nodes[0];
    let callers = [
        Caller { subject: "bridge", node: &bridge.netns, call: &|c, id, netns| bridge.invocation(c, id, netns) },
        Caller { subject: "ptp", node: &ptp.netns, call: &|c, id, netns| ptp.invocation(c, id, netns) },
        Caller { subject: "ferrule", node: &node.netns, call: &|c, id, netns| node.invocation(c, id, netns) },
    ];
    let place = Place::new();
    let pods = (0..settings.parallel).map(|pod| Netns::new(&place.name(&format!("p{pod}"))));
    let pods = pods.collect::<Result<Vec<_>>>()?;
    let mut rows = one_after_another(&callers, &pods[0], settings.calls)?;
    rows.extend(at_once(&[&callers[2], &callers[0]], &pods, settings.repeats)?);
    Ok(rows)
}

/// Each caller's ADD and DEL of one pod in turn.
fn one_after_another(callers: &[Caller<'_>], pod: &Netns, calls: usize) -> Result<Vec<Row>> {
    let mut values = vec![[Vec::new(), Vec::new()]; callers.len()];
    // The first of each makes what stays, such as the bridge.
    for caller in callers {
        COMMANDS.iter().try_for_each(|(command, _)| caller.time(command, &[pod], false).map(drop))?;
    }
    for round in 0..calls {
        for turn in 0..callers.len() {
            let at = (turn + round) % callers.len();
            for ((command, _), values) in COMMANDS.iter().zip(&mut values[at]) {
                values.push(caller_ms(&callers[at], command, pod)?);
            }
        }
    }
    let mut rows = Vec::new();
    for (number, (_, metric)) in COMMANDS.iter().enumerate() {
        for (caller, own) in callers.iter().zip(&values) {
            let row = Row::rounds("cni", metric, caller.subject, Estimate::of(own[number].iter().copied()), "ms");
            rows.push(row.beside("bridge", ratios(&own[number], &values[0][number])));
        }
    }
    Ok(rows)
}

fn caller_ms(caller: &Caller<'_>, command: &str, pod: &Netns) -> Result<f64> {
    Ok(caller.time(command, &[pod], false)? * 1000.0)
}

/// All pods side by side, beside all pods one after another.
fn at_once(callers: &[&Caller<'_>], pods: &[Netns], repeats: usize) -> Result<Vec<Row>> {
    let pods: Vec<_> = pods.iter().collect();
    // By caller and command: one after another, at once.
    let mut values = vec![[[Vec::new(), Vec::new()], [Vec::new(), Vec::new()]]; callers.len()];
    for round in 0..repeats {
        eprintln!("cni: {} pods at once, {} of {repeats}", pods.len(), round + 1);
        for (caller, values) in callers.iter().zip(&mut values) {
            for turn in 0..2 {
                let way = (turn + round) % 2;
                for ((command, _), values) in COMMANDS.iter().zip(&mut *values) {
                    values[way].push(caller.time(command, &pods, way == 1)?);
                }
            }
        }
    }
    let mut rows = Vec::new();
    for (number, (_, metric)) in COMMANDS.iter().enumerate() {
        for (caller, values) in callers.iter().zip(&values) {
            let [alone, together] = &values[number];
            let value = Estimate::of(together.iter().copied());
            let row = Row::rounds("cni-parallel", metric, caller.subject, value, "s");
            rows.push(row.beside(ONE_AFTER_ANOTHER, ratios(together, alone)));
        }
    }
    Ok(rows)
}

/// What a ratio of `cni-parallel` is to: the same calls by the same plugin.
const ONE_AFTER_ANOTHER: &str = "one-after-another";

impl Caller<'_> {
    /// Seconds for a command of every pod.
    fn time(&self, command: &str, pods: &[&Netns], at_once: bool) -> Result<f64> {
        self.node.enter(|| {
            let start = Instant::now();
            if at_once {
                // Threads begin in the namespace of the one that starts them.
                thread::scope(|scope| {
                    let calls: Vec<_> = pods.iter().map(|pod| scope.spawn(|| self.once(command, pod))).collect();
                    let join = |call: thread::ScopedJoinHandle<'_, Result<()>>| {
                        call.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                    };
                    calls.into_iter().try_for_each(join)
                })?;
            } else {
                pods.iter().try_for_each(|pod| self.once(command, pod))?;
            }
            Ok(start.elapsed().as_secs_f64())
        })?
    }

    fn once(&self, command: &str, pod: &Netns) -> Result<()> {
        let call = (self.call)(command, pod.name(), &pod.path());
        call.answer(call.spawn_here()?).map(drop)
    }
}
