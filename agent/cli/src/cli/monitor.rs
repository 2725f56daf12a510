//! `ferrule monitor`: events as they come.

use std::io::{BufRead, Write};

use clap::{Args, ValueEnum};
use ferrule_api::{client::Agent, view, view::EventEnd};

/// What is shown.
#[derive(Args)]
pub(super) struct Options {
    /// dropped packets, new flows that may pass, or both
    #[arg(long, default_value = "dropped")]
    verdict: Verdict,
    /// Only what concerns this pod, as namespace/name
    #[arg(long)]
    pod: Option<String>,
    /// Only what is from or to this address
    #[arg(long)]
    address: Option<std::net::IpAddr>,
    /// Only what is from or to this port
    #[arg(long)]
    port: Option<u16>,
    /// End after so many
    #[arg(long, value_name = "EVENTS")]
    count: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verdict {
    Dropped,
    Allowed,
    All,
}

impl Options {
    fn wants(&self, event: &view::Event) -> bool {
        let ends = [&event.source, &event.destination];
        let verdict = match self.verdict {
            Verdict::Dropped => event.verdict == "dropped",
            Verdict::Allowed => event.verdict == "allowed",
            Verdict::All => true,
        };
        let pod =
            |wanted: &String| event.pod.as_ref() == Some(wanted) || ends.iter().any(|e| e.pod.as_ref() == Some(wanted));
        let address = |wanted: &std::net::IpAddr| ends.iter().any(|end| end.address == wanted.to_string());
        verdict
            && self.pod.as_ref().is_none_or(pod)
            && self.address.as_ref().is_none_or(address)
            && self.port.is_none_or(|port| ends.iter().any(|end| end.port == port))
    }
}

pub(super) fn run(agent: &Agent, options: &Options, json: bool) -> anyhow::Result<()> {
    let allowed = options.verdict != Verdict::Dropped;
    let lines = agent.follow(&format!("{}?allowed={allowed}", view::MONITOR))?;
    let mut out = std::io::stdout();
    let mut shown = 0;
    for line in lines.lines() {
        let line = line?;
        let event: view::Event = serde_json::from_str(&line)?;
        if !options.wants(&event) {
            continue;
        }
        if json {
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", in_words(&event))?;
        }
        out.flush()?;
        shown += 1;
        if options.count == Some(shown) {
            return Ok(());
        }
    }
    anyhow::bail!("the agent has ended; what it would have told is lost")
}

fn in_words(event: &view::Event) -> String {
    let seconds = event.time_ms / 1000 % 86_400;
    let time =
        format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, event.time_ms % 1000);
    let what = if event.reason.is_empty() { event.verdict.clone() } else { format!("dropped {}", event.reason) };
    let concerned = match (&event.pod, event.direction.as_str()) {
        (Some(pod), "") => format!(" [{pod}]"),
        (Some(pod), direction) => format!(" [{direction} of {pod}]"),
        _ => String::new(),
    };
    let by = match (&event.rule, event.policies.as_slice()) {
        (Some(rule), _) => format!(", by {rule}"),
        (None, []) => String::new(),
        (None, policies) => format!(", isolated by {}", policies.join(", ")),
    };
    let left_out = if event.left_out == 0 { String::new() } else { format!(" (+{} not shown)", event.left_out) };
    let protocol = if event.protocol.is_empty() { "?" } else { &event.protocol };
    format!("{time} {what}: {protocol} {} → {}{concerned}{by}{left_out}", end(&event.source), end(&event.destination))
}

fn end(end: &EventEnd) -> String {
    let pod = end.pod.as_ref().map_or_else(String::new, |pod| format!(" ({pod})"));
    match (end.port, end.address.contains(':')) {
        (0, _) => format!("{}{pod}", end.address),
        (port, true) => format!("[{}]:{port}{pod}", end.address),
        (port, false) => format!("{}:{port}{pod}", end.address),
    }
}
