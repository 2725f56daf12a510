//! Times as figures of this scenario.

use crate::row::Row;

pub(super) const SCENARIO: &str = "cluster";
pub(super) const SUBJECT: &str = "ferrule";

/// The median of times, and the one that 99 of 100 keep; in milliseconds.
pub(super) fn percentiles(metric: &str, mut times: Vec<f64>) -> Vec<Row> {
    times.sort_by(f64::total_cmp);
    let row = |part: usize| {
        let value = times[times.len() * part / 100];
        Row::once(SCENARIO, &format!("{metric}_p{part}"), SUBJECT, value, "ms")
    };
    vec![row(50), row(99)]
}
