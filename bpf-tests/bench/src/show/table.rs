//! Figures as tables.

use std::fmt::Write;

use comfy_table::{Table, TableStyle, presets};

use super::by_scenario;
use crate::row::Row;

const HEADER: [&str; 7] = ["metric", "subject", "value", "ratio to", "ratio", "95 %", "target"];

/// For a terminal: a table for each scenario.
pub fn table(rows: &[Row]) -> String {
    by_scenario(rows).into_iter().fold(String::new(), |mut text, (scenario, rows)| {
        let mut table = Table::new();
        table.load_style(TableStyle::new()).set_header(HEADER.map(str::to_uppercase));
        for column in table.column_iter_mut() {
            column.set_padding((0, 3));
        }
        rows.iter().for_each(|row| {
            table.add_row(cells(row));
        });
        // Writing to a string does not fail.
        let _ = writeln!(text, "\n{scenario}");
        table.lines().for_each(|line| _ = writeln!(text, "{}", line.trim_end()));
        text
    })
}

/// For a document: the table of one scenario.
pub fn markdown(rows: &[&Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(HEADER);
    rows.iter().for_each(|row| {
        table.add_row(cells(row));
    });
    table.lines().collect::<Vec<_>>().join("\n")
}

fn cells(row: &Row) -> [String; 7] {
    let ratio = row.ratio.filter(|_| row.baseline != Some(&row.subject));
    let interval = |ends: Option<[f64; 2]>| ends.map_or(String::new(), |[low, high]| format!("{low:.3} – {high:.3}"));
    // A value that has no ratio shows its own interval.
    let shown = if ratio.is_some() { interval(row.ratio_interval) } else { of_value(row) };
    [
        row.metric.clone(),
        row.subject.clone(),
        format!("{} {}", number(row.value), row.unit),
        ratio.and(row.baseline).unwrap_or_default().to_owned(),
        ratio.map_or(String::new(), |ratio| format!("{ratio:.3}")),
        shown,
        row.target
            .zip(row.met)
            .map_or(String::new(), |(target, met)| format!("{target}: {}", if met { "met" } else { "missed" })),
    ]
}

fn of_value(row: &Row) -> String {
    row.value_interval.map_or(String::new(), |[low, high]| format!("{} – {} {}", number(low), number(high), row.unit))
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
