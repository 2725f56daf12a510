//! docs/operations.md against the code: its tables are complete, and say what holds.

use clap::{Args, Command};
use ferrule_common::{Drop, layout};

use crate::config::Options;

const MANUAL: &str = include_str!("../../docs/operations.md");

/// The rows of the tables whose first column has this heading, cell by cell.
pub(crate) fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (mut rows, mut is_asked) = (Vec::new(), None);
    for line in MANUAL.lines() {
        match line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) {
            Some(row) if is_asked.is_none() => is_asked = Some(row.split(" | ").next() == Some(heading)),
            Some(row) if is_asked == Some(true) => rows.push(row.split(" | ").map(str::trim).collect()),
            Some(_) => {}
            None if line.starts_with("|-") => {}
            None => is_asked = None,
        }
    }
    rows
}

/// The one row of such a table whose first cell is this word.
pub(crate) fn row(heading: &str, word: &str) -> Vec<&'static str> {
    let found: Vec<Vec<&str>> = rows(heading).into_iter().filter(|row| row[0] == format!("`{word}`")).collect();
    assert_eq!(found.len(), 1, "docs/operations.md has not one row for the {heading} {word}, but {}", found.len());
    found.into_iter().flatten().collect()
}

#[test]
fn it_has_every_drop_reason_with_a_meaning_and_a_remedy() {
    for reason in Drop::ALL {
        let row = row("reason", reason.name());
        assert!(row.len() == 3 && row.iter().all(|cell| !cell.is_empty()), "{}: {row:?}", reason.name());
    }
}

#[test]
fn it_has_every_setting_with_its_default_and_variable() {
    let command = Options::augment_args(Command::new("agent"));
    for flag in command.get_arguments() {
        let name = flag.get_long().expect("each has a long name");
        let row = row("setting", name);
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.is_empty()), "{name}: {row:?}");
        if let Some(variable) = flag.get_env() {
            assert!(row[3].contains(&*variable.to_string_lossy()), "{name}: {row:?}");
        }
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let usual = help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
        // Those of one word; the others are sentences here and there.
        if let Some((usual, _)) = usual.filter(|(usual, _)| !usual.contains(' ') && *usual != "none") {
            assert_eq!(row[1], format!("`{usual}`"), "{name}");
        }
    }
    assert_eq!(rows("setting").len(), command.get_arguments().count(), "it has settings that there are not");
}

/// The alert goes by all of them; what to do differs.
#[test]
fn it_says_what_to_do_about_each_map_that_may_fill_up() {
    let measured = include_str!("api/prometheus.rs");
    let told: Vec<&str> = rows("map").into_iter().flat_map(|row| row[0].split(", ")).collect();
    for map in layout::MAPS.iter().map(|map| map.name) {
        let is_measured = measured.contains(&format!("(\"{map}\", "));
        assert_eq!(told.contains(&&*format!("`{map}`")), is_measured, "{map}");
    }
}

/// A reason that the alert goes by is one that there is, and those that forged packets have are among them.
#[test]
fn the_alert_on_forged_packets_goes_by_reasons_that_there_are() {
    let alerts = include_str!("../../deploy/prometheus/alerts.yaml");
    let (_, rest) = alerts.split_once("alert: FerruleForgedPackets").expect("the alert");
    let (reasons, _) = rest.split_once("outcome=~\"").and_then(|(_, rest)| rest.split_once('"')).expect("its reasons");
    let mut seen = Vec::new();
    for reason in reasons.split('|') {
        let is_meant = |name: &str| match reason.strip_suffix(".*") {
            Some(start) => name.starts_with(start),
            None => name == reason,
        };
        let found: Vec<&str> = Drop::ALL.iter().map(|reason| reason.name()).filter(|name| is_meant(name)).collect();
        assert!(!found.is_empty(), "no drop reason is {reason}");
        seen.extend(found);
    }
    let forged = [Drop::SpoofedAddress, Drop::WrongNode, Drop::LocalSource, Drop::Unencapsulated, Drop::ForeignSource];
    for reason in forged {
        assert!(seen.contains(&reason.name()), "{} is left out", reason.name());
    }
}
