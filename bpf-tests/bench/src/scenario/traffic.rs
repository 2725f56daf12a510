//! Every load through every subject, round by round, with another subject first in each.

use std::{fs, thread};

use anyhow::{Context, Result};
use test_kit::{
    topology::Routing,
    traffic::load::{Load, stream_at_will},
};

use crate::{
    lab::{Flannel, Kind, Ours, Pair, Path, PluginNode, Redirect, SERVICE},
    row::Row,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// Between pods of one node, beside a raw veth pair.
pub fn same_node(settings: &Settings) -> Result<Vec<Row>> {
    let (pair, control) = (Pair::new()?, Pair::new()?);
    let (bridge, ptp) = (PluginNode::new(Kind::Bridge, [250, 1])?, PluginNode::new(Kind::Ptp, [250, 2])?);
    let (on_bridge, by_ptp) = ([bridge.add("a")?, bridge.add("b")?], [ptp.add("a")?, ptp.add("b")?]);
    let (ours, redirect) = (Ours::new(Routing::Vxlan)?, Redirect::new()?);
    let (policed, crowded) = (Ours::policed(0)?, Ours::policed(10_000)?);
    let paths = [
        pair.path("veth"),
        control.path("veth-control"),
        PluginNode::path("bridge", &on_bridge[0], &on_bridge[1])?,
        PluginNode::path("ptp", &by_ptp[0], &by_ptp[1])?,
        redirect.path(REDIRECT),
        ours.same_node("ferrule")?,
        policed.same_node("ferrule-policy")?,
        crowded.same_node("ferrule-policy-10k")?,
    ];
    compare("same-node", &paths, settings)
}

/// Through a ClusterIP, beside straight to the pod behind it: few Services, and many.
pub fn services(settings: &Settings) -> Result<Vec<Row>> {
    let (few, many) = (Ours::serving(10)?, Ours::serving(10_000)?);
    let paths = [
        few.by_service("direct", None)?,
        few.by_service("direct-control", None)?,
        few.by_service("service", Some(SERVICE))?,
        many.by_service("direct-10k", None)?,
        many.by_service("service-10k", Some(SERVICE))?,
    ];
    compare("services", &paths, settings)
}

/// Between pods of two nodes, beside what flannel sets up.
pub fn cross_node(settings: &Settings) -> Result<Vec<Row>> {
    let flannel = Flannel::new()?;
    let (vxlan, native) = (Ours::new(Routing::Vxlan)?, Ours::new(Routing::Native)?);
    let by_device = Ours::by_device()?;
    let paths = [
        flannel.path()?,
        vxlan.cross_node("ferrule-vxlan")?,
        by_device.cross_node("ferrule-vxlan-device")?,
        native.cross_node("ferrule-native")?,
    ];
    let mut rows = compare("cross-node", &paths, settings)?;
    rows.extend(at_will("cross-node", &paths, settings)?);
    Ok(rows)
}

/// The smallest program that delivers to a pod: its rows are the kernel's share of ours.
const REDIRECT: &str = "redirect";
/// Where rows stand whose baseline that is.
const BESIDE_REDIRECT: &str = "same-node-redirect";
/// Who is put beside it.
const BY_PROGRAMS: [&str; 2] = ["ferrule", "ferrule-policy"];

/// Whose baseline is another than the first path.
const BESIDE: [(&str, &str); 1] = [("service-10k", "service")];

/// The first path is the baseline, or what [`BESIDE`] says.
fn compare(scenario: &'static str, paths: &[Path<'_>], settings: &Settings) -> Result<Vec<Row>> {
    let mut values = vec![vec![Vec::new(); paths.len()]; Load::ALL.len()];
    for round in 0..settings.rounds {
        eprintln!("{scenario}: round {} of {}", round + 1, settings.rounds);
        for (load, values) in Load::ALL.into_iter().zip(&mut values) {
            for turn in 0..paths.len() {
                let at = (turn + round) % paths.len();
                values[at].push(once(&paths[at], load, settings)?);
            }
        }
    }
    let (mut rows, mut beside_redirect) = (Vec::new(), Vec::new());
    for (load, values) in Load::ALL.into_iter().zip(&values) {
        for (path, own) in paths.iter().zip(values) {
            let value = Estimate::of(own.iter().copied());
            let row = Row::rounds(scenario, &load.to_string(), path.subject, value, load.unit());
            let beside = BESIDE.iter().find(|(subject, _)| *subject == path.subject).map(|(_, beside)| *beside);
            let baseline = paths.iter().position(|path| Some(path.subject) == beside).unwrap_or_default();
            rows.push(row.beside(paths[baseline].subject, ratios(own, &values[baseline])));
        }
        let redirect = paths.iter().position(|path| path.subject == REDIRECT);
        for (at, path) in paths.iter().enumerate().filter(|(_, path)| BY_PROGRAMS.contains(&path.subject)) {
            let Some(redirect) = redirect else { break };
            let value = Estimate::of(values[at].iter().copied());
            let row = Row::rounds(BESIDE_REDIRECT, &load.to_string(), path.subject, value, load.unit());
            beside_redirect.push(row.beside(REDIRECT, ratios(&values[at], &values[redirect])));
        }
    }
    rows.extend(beside_redirect);
    Ok(rows)
}

/// Streams whose ends run on whichever CPUs they get, and how many segments had to be sent again: queues on the way drop what comes in
/// bursts, which a stream on one CPU never fills.
fn at_will(scenario: &'static str, paths: &[Path<'_>], settings: &Settings) -> Result<Vec<Row>> {
    let mut rates = vec![Vec::new(); paths.len()];
    let mut again = rates.clone();
    let slice = settings.slice * SLICES;
    for round in 0..settings.rounds {
        for turn in 0..paths.len() {
            let at = (turn + round) % paths.len();
            let before = retransmitted(&paths[at])?;
            let rate = stream_at_will(paths[at].ends, slice).with_context(|| paths[at].subject)?;
            rates[at].push(rate);
            again[at].push((retransmitted(&paths[at])? - before) / (rate * slice.as_secs_f64()));
        }
    }
    let mut rows = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let value = Estimate::of(rates[at].iter().copied());
        let row = Row::rounds(scenario, "tcp_stream_at_will", path.subject, value, Load::TcpStream.unit());
        rows.push(row.beside(paths[0].subject, ratios(&rates[at], &rates[0])));
        let value = Estimate::of(again[at].iter().copied());
        rows.push(Row::rounds(scenario, "tcp_stream_again", path.subject, value, "segments/Gbit"));
    }
    Ok(rows)
}

/// Of a load's, how long such a stream lasts.
const SLICES: u32 = 5;

/// Segments that the client's TCP has sent again so far.
fn retransmitted(path: &Path<'_>) -> Result<f64> {
    let text = path.ends.client.enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))??;
    let mut rows = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = rows.next().zip(rows.next()).context("the kernel counts no TCP")?;
    let mut both = names.split_whitespace().zip(values.split_whitespace());
    let found = both.find(|(name, _)| *name == "RetransSegs").and_then(|(_, value)| value.parse().ok());
    found.context("the kernel counts no segments that are sent again")
}

/// One slice of load, and the pause after it.
pub fn once(path: &Path<'_>, load: Load, settings: &Settings) -> Result<f64> {
    let measure = || load.measure(path.ends, settings.cpu, settings.slice);
    let rate = match path.cgroup {
        Some(cgroup) => cgroup.within(measure)?,
        None => measure(),
    };
    let rate = rate.with_context(|| path.subject)?;
    thread::sleep(settings.pause);
    Ok(rate)
}
