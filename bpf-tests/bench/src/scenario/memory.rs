//! What an idle node costs: its agent's memory, its maps' memory, and the sizes of files.

use std::{fs, thread, time::Duration};

use anyhow::Result;
use test_kit::topology::{Routing, binary};

use crate::{lab::Ours, process, row::Row};

/// How long an agent is left alone before it counts as idle.
const IDLE: Duration = Duration::from_secs(2);

/// An agent with two pods and one other node.
pub fn run() -> Result<Vec<Row>> {
    let ours = Ours::new(Routing::Vxlan)?;
    thread::sleep(IDLE);
    let mut rows = of("memory", ours.node().agent_process()?)?;
    for name in ["ferrule-agent", "ferrule-cni", "ferrule"] {
        #[expect(clippy::cast_precision_loss, reason = "a file's size")]
        let size = fs::metadata(binary(name)?)?.len() as f64 / 1e6;
        rows.push(Row::once("memory", "file_size", name, size, "MB"));
    }
    Ok(rows)
}

/// An agent's memory and its maps'.
pub fn of(scenario: &'static str, agent: u32) -> Result<Vec<Row>> {
    Ok(vec![
        Row::once(scenario, "agent_rss", "ferrule", process::memory(agent, "VmRSS")?, "MB"),
        Row::once(scenario, "agent_rss_peak", "ferrule", process::memory(agent, "VmHWM")?, "MB"),
        Row::once(scenario, "maps", "ferrule", process::maps(agent)?, "MB"),
    ])
}
