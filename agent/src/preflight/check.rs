//! One finding, and how findings are shown.

use comfy_table::Table;
use serde::Serialize;

/// Whether the agent can run with what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works in another way, or less well.
    Otherwise,
    /// The agent cannot run.
    Fails,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// What is there.
    pub found: String,
    /// Whether that will do.
    pub verdict: Verdict,
    /// What follows from it; what to do, where it does not do.
    pub means: String,
}

impl Check {
    pub(super) fn ok(what: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self { what, found: found.into(), verdict: Verdict::Ok, means: means.into() }
    }

    pub(super) fn otherwise(what: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self { verdict: Verdict::Otherwise, ..Self::ok(what, found, means) }
    }

    pub(super) fn fails(what: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fails, ..Self::ok(what, found, means) }
    }
}

/// What keeps the agent from running, a line for each; `None` where nothing does.
#[must_use]
pub fn refusal(checks: &[Check]) -> Option<String> {
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Fails);
    let lines: Vec<_> = failed.map(|check| format!("{}: {}: {}", check.what, check.found, check.means)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The findings for people.
#[must_use]
pub fn table(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(["WHAT", "FOUND", "VERDICT", "MEANS"]);
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Ok => "ok",
            Verdict::Otherwise => "otherwise",
            Verdict::Fails => "FAILS",
        };
        table.add_row([check.what, &check.found, verdict, &check.means]);
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fails_keeps_the_agent_from_running() {
        let fine = [Check::ok("a", "1", "fine"), Check::otherwise("b", "0", "slower")];
        assert_eq!(refusal(&fine), None);
        let broken = [Check::ok("a", "1", "fine"), Check::fails("c", "none", "mount one")];
        assert_eq!(refusal(&broken).as_deref(), Some("c: none: mount one"));
    }

    #[test]
    fn a_table_has_a_line_for_each_finding() {
        let text = table(&[Check::ok("tcx", "yes", "links"), Check::fails("btf", "none", "boot another kernel")]);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["tcx", "yes", "ok", "links"]);
        assert_eq!(lines[2], ["btf", "none", "FAILS", "boot", "another", "kernel"]);
    }
}
