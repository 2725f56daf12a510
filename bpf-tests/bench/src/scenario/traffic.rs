//! Every load through every subject, round by round, with another subject first in each.

use std::thread;

use anyhow::{Context, Result};
use test_kit::{topology::Routing, traffic::load::Load};

use crate::{
    lab::{Flannel, Kind, Ours, Pair, Path, PluginNode, SERVICE},
    row::Row,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// Between pods of one node, beside a raw veth pair.
pub fn same_node(settings: &Settings) -> Result<Vec<Row>> {
    let (pair, control) = (Pair::new()?, Pair::new()?);
    let (bridge, ptp) = (PluginNode::new(Kind::Bridge, [250, 1])?, PluginNode::new(Kind::Ptp, [250, 2])?);
    let (on_bridge, by_ptp) = ([bridge.add("a")?, bridge.add("b")?], [ptp.add("a")?, ptp.add("b")?]);
    let ours = Ours::new(Routing::Vxlan)?;
    let (policed, crowded) = (Ours::policed(0)?, Ours::policed(10_000)?);
    let paths = [
        pair.path("veth"),
        control.path("veth-control"),
        PluginNode::path("bridge", &on_bridge[0], &on_bridge[1])?,
        PluginNode::path("ptp", &by_ptp[0], &by_ptp[1])?,
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
    let paths = [flannel.path()?, vxlan.cross_node("ferrule-vxlan")?, native.cross_node("ferrule-native")?];
    compare("cross-node", &paths, settings)
}

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
    let mut rows = Vec::new();
    for (load, values) in Load::ALL.into_iter().zip(&values) {
        for (path, own) in paths.iter().zip(values) {
            let value = Estimate::of(own.iter().copied());
            let row = Row::rounds(scenario, &load.to_string(), path.subject, value, load.unit());
            let beside = BESIDE.iter().find(|(subject, _)| *subject == path.subject).map(|(_, beside)| *beside);
            let baseline = paths.iter().position(|path| Some(path.subject) == beside).unwrap_or_default();
            rows.push(row.beside(paths[baseline].subject, ratios(own, &values[baseline])));
        }
    }
    Ok(rows)
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
