//! Figures for people.

mod plot;
mod table;

use std::fmt::Write;

use anyhow::Result;
pub use plot::plot;
pub use table::table;

use crate::{judge, machine, row::Row, settings::Settings};

/// The run as Markdown, for docs/performance.md.
pub fn markdown(rows: &[Row], settings: &Settings) -> Result<String> {
    let mut text = format!(
        "Ferrule {}, {}. {} rounds, {} ms a load, {} calls of each plugin, {} at once {} times. {}.\n",
        env!("CARGO_PKG_VERSION"),
        machine::describe()?,
        settings.rounds,
        settings.slice.as_millis(),
        settings.calls,
        settings.parallel,
        settings.repeats,
        judge::sum(rows),
    );
    for (scenario, rows) in by_scenario(rows) {
        writeln!(text, "\n### {scenario}\n\n{}", table::markdown(&rows))?;
    }
    Ok(text)
}

/// Rows in groups, in the order in which they were measured.
fn by_scenario(rows: &[Row]) -> Vec<(&'static str, Vec<&Row>)> {
    let mut groups: Vec<(&'static str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match groups.last_mut().filter(|(scenario, _)| *scenario == row.scenario) {
            Some((_, group)) => group.push(row),
            None => groups.push((row.scenario, vec![row])),
        }
    }
    groups
}
