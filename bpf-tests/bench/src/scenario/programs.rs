//! Nanoseconds a packet, by the kernel's own statistics, less what an empty program takes under the same load; and how
//! large programs are.

use std::process;

use anyhow::{Context, Result, ensure};
use aya::{
    programs::{ProgramInfo, loaded_programs},
    sys::{Stats, enable_stats},
};
use ferrule_common::Program;
use test_kit::{topology::Routing, traffic::load::Load};

use super::traffic::once;
use crate::{
    lab::{Ours, Pair, Path, Tiny},
    process::{Runs, programs},
    row::Row,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// The program that others are compared with.
const EMPTY: &str = "empty";

/// A program under a load.
struct Case<'a> {
    metric: &'static str,
    subject: &'static str,
    process: u32,
    id: u32,
    path: Path<'a>,
}

/// Times and sizes of all programs.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let mut empty = Tiny::empty()?;
    let pair = Pair::new()?;
    empty.attach(&pair.client, "eth0")?;
    empty.attach(&pair.server, "eth0")?;
    let (vxlan, native) = (Ours::new(Routing::Vxlan)?, Ours::new(Routing::Native)?);
    let by_device = Ours::by_device()?;
    let policed = Ours::policed(0)?;
    let bare = Case { metric: "time", subject: EMPTY, process: process::id(), id: empty.id()?, path: pair.path(EMPTY) };
    let mut cases = vec![bare];
    let (same, to_pod) = (vxlan.same_node("ferrule")?, vxlan.node_to_pod("ferrule")?);
    cases.push(case("time", Program::FromPod, &vxlan, same)?);
    cases.push(case("time", Program::ToPod, &vxlan, to_pod)?);
    cases.push(case("time_policy", Program::FromPod, &policed, policed.same_node("ferrule-policy")?)?);
    for program in [Program::FromPod, Program::FromNetdev, Program::ToNetdev] {
        cases.push(case("time_vxlan", program, &vxlan, vxlan.cross_node("ferrule-vxlan")?)?);
    }
    for program in [Program::FromPod, Program::ToOverlay, Program::FromOverlay, Program::FromNetdev, Program::ToNetdev]
    {
        let path = by_device.cross_node("ferrule-vxlan-device")?;
        cases.push(case("time_vxlan_device", program, &by_device, path)?);
    }
    for program in [Program::FromPod, Program::FromNetdev, Program::ToNetdev] {
        cases.push(case("time_native", program, &native, native.cross_node("ferrule-native")?)?);
    }
    let mut rows = times(&cases, settings)?;
    rows.extend(sizes(&vxlan)?);
    Ok(rows)
}

fn case<'a>(metric: &'static str, program: Program, ours: &Ours, path: Path<'a>) -> Result<Case<'a>> {
    let process = ours.node().agent_process()?;
    Ok(Case { metric, subject: program.name(), process, id: info(process, program)?.id(), path })
}

/// One of an agent's programs.
fn info(process: u32, program: Program) -> Result<ProgramInfo> {
    let own = programs(process)?;
    let is_it = |info: &ProgramInfo| own.contains_key(&info.id()) && info.name_as_str() == Some(program.name());
    let found = loaded_programs().filter_map(Result::ok).find(is_it);
    found.with_context(|| format!("the agent holds no program {}", program.name()))
}

fn times(cases: &[Case<'_>], settings: &Settings) -> Result<Vec<Row>> {
    let _statistics = enable_stats(Stats::RunTime)?;
    let mut values = vec![Vec::new(); cases.len()];
    for round in 0..settings.rounds {
        eprintln!("programs: round {} of {}", round + 1, settings.rounds);
        for turn in 0..cases.len() {
            let at = (turn + round) % cases.len();
            values[at].push(cases[at].time(settings)?);
        }
    }
    let mut rows = Vec::new();
    for (case, own) in cases.iter().zip(&values) {
        let beyond = own.iter().zip(&values[0]).map(|(own, empty)| own - empty);
        // The empty program's own row has the whole of it.
        let value = if case.subject == EMPTY { Estimate::of(own.iter().copied()) } else { Estimate::of(beyond) };
        let row = Row::rounds("programs", case.metric, case.subject, value, "ns");
        rows.push(row.beside(EMPTY, ratios(own, &values[0])));
    }
    Ok(rows)
}

impl Case<'_> {
    /// Nanoseconds a run, under TCP_RR.
    fn time(&self, settings: &Settings) -> Result<f64> {
        let before = self.runs()?;
        once(&self.path, Load::TcpRr, settings)?;
        let after = self.runs()?;
        let (count, time) = (after.count - before.count, after.time - before.time);
        ensure!(count > 0, "{} did not run between {:?}", self.subject, self.path.ends.client.name());
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let each = time as f64 / count as f64;
        Ok(each)
    }

    fn runs(&self) -> Result<Runs> {
        let runs = programs(self.process)?.get(&self.id).copied();
        runs.with_context(|| format!("the kernel tells no statistics of {}", self.subject))
    }
}

fn sizes(ours: &Ours) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for program in Program::ALL {
        let info = info(ours.node().agent_process()?, program)?;
        let translated = info.size_translated().context("the kernel tells no size")?;
        for (metric, size) in [("size_translated", translated), ("size_jited", info.size_jitted())] {
            rows.push(Row::once("programs", metric, program.name(), size.into(), "bytes"));
        }
    }
    Ok(rows)
}
