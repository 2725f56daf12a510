//! What is broken: a list that is checked in.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};

/// One rule, and how to break it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The file, from the repository's root.
    pub file: String,
    /// What the rule says.
    pub rule: String,
    /// A part of a line that the file has once.
    find: String,
    /// What stands there instead.
    replacement: String,
    /// It is tried in CI.
    pub sample: bool,
}

/// Every mutant of a list.
///
/// # Errors
/// Where it cannot be read.
pub fn read(path: &Path) -> Result<Vec<Mutant>> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Blocks of four lines with a line between.
fn parse(text: &str) -> Result<Vec<Mutant>> {
    let lines: String = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    lines.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty()).map(mutant).collect()
}

fn mutant(block: &str) -> Result<Mutant> {
    let lines: Vec<&str> = block.lines().collect();
    let [file, rule, find, replacement] = lines[..] else {
        bail!("{block:?} is not a file, a rule, what is found and what takes its place, a line each");
    };
    let find = find.strip_prefix("- ").with_context(|| format!("{find:?} does not begin with '- '"))?;
    let replacement =
        replacement.strip_prefix('+').with_context(|| format!("{replacement:?} does not begin with '+'"))?;
    let (file, sample) = file.strip_suffix(" *").map_or((file, false), |file| (file, true));
    let [file, rule, find, replacement] = [file, rule, find, replacement.trim()].map(str::to_owned);
    Ok(Mutant { file, rule, find, replacement, sample })
}

impl Mutant {
    /// The file with the rule broken.
    ///
    /// # Errors
    /// Where the text is not there once: the list is to be brought up to date.
    pub fn apply(&self, text: &str) -> Result<String> {
        let Self { file, rule, find, .. } = self;
        let found = text.matches(find.as_str()).count();
        ensure!(
            found == 1,
            "{file}: {find:?} is there {found} times, not once; bring the mutant \"{rule}\" up to date"
        );
        Ok(text.replacen(find.as_str(), &self.replacement, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_a_file_a_rule_and_two_texts() {
        let list = "# About\n\na.rs *\nthe rule\n- x == 0\n+ x != 0\n\nb.rs\nanother\n- y();\n+\n";
        let [first, second] = &parse(list).unwrap()[..] else { panic!("two mutants") };
        assert_eq!((&*first.file, &*first.rule, first.sample), ("a.rs", "the rule", true));
        assert_eq!(first.apply("if x == 0 {").unwrap(), "if x != 0 {");
        assert_eq!(second.apply("{ y(); }").unwrap(), "{  }");
        assert!(!second.sample);
    }

    #[test]
    fn what_is_not_there_once_is_refused() {
        let mutant = &parse("a.rs\nthe rule\n- x\n+ y\n").unwrap()[0];
        let words = |text: &str| mutant.apply(text).unwrap_err().to_string();
        assert!(words("x x").contains("2 times") && words("z").contains("0 times"), "{} {}", words("x x"), words("z"));
    }

    #[test]
    fn a_block_that_lacks_a_line_is_refused() {
        assert!(parse("a.rs\nthe rule\n- x\n").is_err());
        assert!(parse("a.rs\nthe rule\nx\n+ y\n").is_err());
    }
}
