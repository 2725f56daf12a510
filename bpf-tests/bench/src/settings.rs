//! How long and how often things are measured.

use std::time::Duration;

use anyhow::{Result, ensure};

/// The least number of rounds that gives a 95 % interval worth its name.
const LEAST_ROUNDS: u16 = 12;

/// How long and how often things are measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether this is only to see that everything runs.
    pub quick: bool,
    /// Rounds of load, each with every subject.
    pub rounds: usize,
    /// How long one load lasts.
    pub slice: Duration,
    /// The pause after each, in which the kernel lets ordinary threads run: real-time threads that leave them less than
    /// 50 ms of a second are interrupted.
    pub pause: Duration,
    /// The CPU of client and server.
    pub cpu: usize,
    /// ADDs and DELs of each plugin, one after another.
    pub calls: usize,
    /// Pods that are added at once.
    pub parallel: usize,
    /// How often that is done.
    pub repeats: usize,
    /// Other nodes whose pods an agent is told of.
    pub nodes: u16,
    /// Pods of each of them.
    pub pods: u16,
}

impl Settings {
    /// Those of a full run, or of a quick one.
    ///
    /// # Errors
    /// Where there would be too few rounds.
    pub fn new(quick: bool, rounds: Option<u16>) -> Result<Self> {
        let least = if quick { 1 } else { LEAST_ROUNDS };
        let rounds = rounds.unwrap_or(if quick { 2 } else { 60 });
        ensure!(
            rounds >= least,
            "--rounds {rounds}: fewer than {least} give no interval; raise it{}",
            if quick { "" } else { ", or take --quick for a try" }
        );
        // The last: interrupts of devices go to the first as a rule.
        let cpu = super::machine::cpus()? - 1;
        let (rounds, pause) = (rounds.into(), Duration::from_millis(20));
        Ok(if quick {
            let slice = Duration::from_millis(50);
            Self { quick, rounds, slice, pause, cpu, calls: 3, parallel: 10, repeats: 1, nodes: 20, pods: 20 }
        } else {
            let slice = Duration::from_millis(100);
            Self { quick, rounds, slice, pause, cpu, calls: 30, parallel: 110, repeats: 7, nodes: 1000, pods: 100 }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_rounds_are_refused_with_a_way_out() {
        let error = Settings::new(false, Some(11)).unwrap_err().to_string();
        assert!(error.contains("--rounds 11") && error.contains("--quick"), "{error}");
        assert!(Settings::new(false, Some(12)).is_ok());
        assert!(Settings::new(true, Some(1)).is_ok());
        assert!(Settings::new(true, Some(0)).is_err());
    }
}
