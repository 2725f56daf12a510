//! Figures as text: OpenMetrics for who asks for it, and Prometheus' older format, which everybody reads, for all others
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use axum::http::{HeaderMap, header::ACCEPT};

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format, 0.0.4.
    Prometheus,
}

impl Format {
    /// What a request asks for.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if accepted.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// As the answer names it.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The text in this format, from OpenMetrics.
    pub(super) fn write(self, text: String) -> String {
        match self {
            Self::OpenMetrics => text,
            Self::Prometheus => prometheus(&text),
        }
    }
}

/// In the older format a counter's family has its samples' name, and there are neither units nor an end.
fn prometheus(text: &str) -> String {
    let kind = |line: &str| {
        line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ').map(|(_, kind)| kind.to_owned()))
    };
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("EOF"), ..) | (Some("#"), Some("UNIT"), ..) => continue,
            (Some("#"), Some(what @ ("HELP" | "TYPE")), Some(name), rest) => {
                let kind = if what == "TYPE" { kind(line) } else { lines.peek().and_then(|next| kind(next)) };
                let total = if kind.as_deref() == Some("counter") { "_total" } else { "" };
                out.push_str(&format!("# {what} {name}{total} {}", rest.unwrap_or_default()));
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_like_their_samples() {
        let text = "# HELP a_seconds How long it was.\n# TYPE a_seconds gauge\n# UNIT a_seconds seconds\na_seconds 1.5\n\
                    # HELP b Those that came.\n# TYPE b counter\nb_total{c=\"# d\"} 7\n# EOF\n";
        let expected = "# HELP a_seconds How long it was.\n# TYPE a_seconds gauge\na_seconds 1.5\n\
                        # HELP b_total Those that came.\n# TYPE b_total counter\nb_total{c=\"# d\"} 7\n";
        assert_eq!(prometheus(text), expected);
    }

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let asked = |accept: &'static str| {
            let headers = [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
            Format::of(&headers)
        };
        assert_eq!(asked("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Format::OpenMetrics);
        assert_eq!(asked("*/*"), Format::Prometheus);
        assert_eq!(Format::of(&HeaderMap::new()), Format::Prometheus);
    }
}
