//! What a guest says on its console. `bpf-tests/kit/src/bin/guest/report.rs` is the other end.

use std::collections::{BTreeMap, VecDeque};

/// How many of the last lines are shown of a guest that did not come to its end.
const TAIL: usize = 60;

/// What became of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
    /// It did not run.
    Missing,
}

/// What a guest has said so far.
#[derive(Debug, Default)]
pub struct Results {
    /// Every planned test.
    pub tests: BTreeMap<String, Verdict>,
    /// All of them ran.
    pub ended: bool,
    times: BTreeMap<String, u64>,
    outputs: BTreeMap<String, String>,
    pending: String,
    tail: VecDeque<String>,
}

impl Results {
    /// Takes a line of the console in. The kernel may have written into it before our mark.
    pub fn read(&mut self, line: &str) {
        let line = line.trim_end();
        self.tail.push_back(line.to_owned());
        if self.tail.len() > TAIL {
            self.tail.pop_front();
        }
        let Some((_, said)) = line.split_once("@ferrule ") else { return };
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        match word {
            "plan" => drop(self.tests.insert(rest.into(), Verdict::Missing)),
            "pass" => self.ran(rest, Verdict::Passed),
            "fail" => self.ran(rest, Verdict::Failed),
            "|" => self.pending += &format!("    {rest}\n"),
            "end" => self.ended = true,
            _ => {}
        }
    }

    fn ran(&mut self, rest: &str, verdict: Verdict) {
        let Some((time, name)) = rest.split_once(' ') else { return };
        self.tests.insert(name.into(), verdict);
        if let Ok(time) = time.parse() {
            self.times.insert(name.into(), time);
        }
        if verdict == Verdict::Failed {
            self.outputs.insert(name.into(), std::mem::take(&mut self.pending));
        }
    }

    /// How long a test took, in seconds.
    pub fn time(&self, name: &str) -> String {
        let millis = self.times.get(name).copied().unwrap_or(0);
        format!("{}.{:03}s", millis / 1000, millis % 1000)
    }

    /// What a failed test printed.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.outputs.get(name).map(String::as_str)
    }

    /// Whether one of the last lines holds this.
    pub fn has_said(&self, words: &str) -> bool {
        self.tail.iter().any(|line| line.contains(words))
    }

    /// The last lines, for a guest that ended before its time.
    pub fn tail(&self) -> String {
        self.tail.iter().fold(String::from("; the last that it said:"), |text, line| text + "\n    " + line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(lines: &[&str]) -> Results {
        let mut results = Results::default();
        lines.iter().for_each(|line| results.read(line));
        results
    }

    #[test]
    fn a_test_that_did_not_report_is_missing() {
        let results = results(&["@ferrule plan a", "@ferrule plan b", "@ferrule pass 12 a"]);
        assert_eq!(results.tests["a"], Verdict::Passed);
        assert_eq!(results.tests["b"], Verdict::Missing);
        assert_eq!((results.time("a"), results.ended), ("0.012s".into(), false));
    }

    #[test]
    fn a_failed_test_has_what_it_printed() {
        let results = results(&[
            "@ferrule plan a",
            "[    1.2] a kernel's message@ferrule | wrong\r",
            "@ferrule fail 1500 a\r",
            "@ferrule end\r",
        ]);
        assert_eq!(
            (results.tests["a"], results.output("a"), results.ended),
            (Verdict::Failed, Some("    wrong\n"), true)
        );
        assert_eq!(results.time("a"), "1.500s");
    }
}
