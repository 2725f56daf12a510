//! What a run of nextest ended with, read from its summary.

/// How many tests passed and failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Tests that passed.
    pub passed: u32,
    /// Tests that failed, timed out, or could not be started.
    pub failed: u32,
    /// Whether the run itself said that all is well.
    pub succeeded: bool,
}

impl Summary {
    /// From nextest's line, such as
    /// `Summary [  9.9s] 5 tests run: 3 passed (1 slow), 1 failed, 1 timed out, 7 skipped`.
    pub fn read(line: &str) -> Option<Self> {
        let line = plain(line);
        let (_, counts) = line.trim().strip_prefix("Summary [")?.split_once(" run: ")?;
        let mut summary = Self::default();
        for count in counts.split(", ") {
            let mut words = count.split_whitespace();
            let number: u32 = words.next()?.parse().ok()?;
            match words.next()? {
                "passed" => summary.passed += number,
                "skipped" => {}
                _ => summary.failed += number,
            }
        }
        Some(summary)
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.succeeded &= other.succeeded;
    }
}

/// The text without terminal colours.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(u32, u32)>) {
        assert_eq!(Summary::read(line).map(|summary| (summary.passed, summary.failed)), expected, "{line:?}");
    }

    #[test]
    fn every_way_to_fail_counts() {
        check("     Summary [   0.012s] 12 tests run: 12 passed, 3 skipped", Some((12, 0)));
        check("     Summary [   0.012s] 1 test run: 1 passed (1 slow), 0 skipped", Some((1, 0)));
        check(
            "     Summary [  31.0s] 5 tests run: 2 passed, 1 failed, 1 timed out, 1 exec failed, 0 skipped",
            Some((2, 3)),
        );
        check("     Summary [  31.0s] 2/5 tests run: 1 passed (1 flaky), 1 failed, 0 skipped", Some((1, 1)));
        check("        PASS [   0.004s] xtask tests::a_summary", None);
    }

    #[test]
    fn colours_are_left_out() {
        check(
            "\u{1b}[31;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m1\u{1b}[0m passed, \u{1b}[1m1\u{1b}[0m failed",
            Some((1, 1)),
        );
    }
}
