//! Parsers meet inputs that nobody thought of: those of a folder, changed again and again. For tests alone.
//!
//! ```text
//! corpus ──▶ pool ──▶ mutate ──▶ check ── an outcome not seen before ──▶ pool
//!                                    └─── a panic ──▶ shrink ──▶ a file, and the test fails
//! ```
//!
//! A check panics where a parser does what it must not, and else tells in a word what became of the input. Inputs with a
//! new outcome are changed further: that leads into the depths of a parser where a compiler's instrumentation is missing.
//! The same seed gives the same inputs.
#![forbid(unsafe_code)]

mod caught;
mod corpus;
mod last;
mod mutate;
mod random;
mod shrink;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use caught::Caught;
use corpus::Corpus;
use last::Last;
use mutate::Mutator;
pub use random::Random;

/// How long it goes on, instead of [`Target::cases`], in seconds.
pub const SECONDS: &str = "FERRULE_FUZZ_SECONDS";
/// Where the random numbers begin, a whole number.
pub const SEED: &str = "FERRULE_FUZZ_SEED";
/// If it is set, inputs with a new outcome are written into the corpus.
pub const KEEP: &str = "FERRULE_FUZZ_KEEP";

/// No input may take longer than this, in an unoptimised build on a busy machine.
const SLOW: Duration = Duration::from_secs(10);

/// A parser, and where its inputs come from.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// As files and messages call it.
    pub name: &'a str,
    /// The folder of inputs; none in it may fail the check.
    pub corpus: &'a str,
    /// A folder for what is found and for what is being tried.
    pub scratch: &'a str,
    /// Words that the parser knows; with none, inputs are bytes and not text.
    pub words: &'a [&'a str],
    /// The most bytes of an input.
    pub longest: usize,
    /// How many inputs are tried beside those of the corpus.
    pub cases: u64,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Inputs that were tried.
    pub inputs: u64,
    /// Different outcomes.
    pub outcomes: usize,
}

impl Target<'_> {
    /// Tries the corpus, and then what comes of it. `check` gives what became of an input, the same each time.
    ///
    /// # Panics
    /// Where `check` does, where an input takes too long, or where the corpus cannot be read; the message names a file.
    pub fn run(&self, check: impl Fn(&[u8]) -> String) -> Summary {
        let seconds = number(SECONDS).map(Duration::from_secs);
        let mut run = Run::begin(self, check);
        let files = Corpus::read(Path::new(self.corpus));
        for (name, input) in &files.0 {
            run.try_one(input, Some(name));
        }
        let (mut random, started) = (Random::new(number(SEED).unwrap_or(1)), Instant::now());
        let first = run.inputs;
        while seconds.map_or(run.inputs - first < self.cases, |most| started.elapsed() < most) {
            let input = Mutator { random: &mut random, pool: &run.pool, words: self.words }.input(self.longest);
            run.try_one(&input, None);
        }
        let summary = Summary { inputs: run.inputs, outcomes: run.outcomes.len() };
        println!("{}: {} inputs, {} outcomes, none failed", self.name, summary.inputs, summary.outcomes);
        summary
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.scratch).join(format!("fuzz-{}-{name}", self.name))
    }
}

/// A number that the environment may hold.
fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}: give a whole number")))
}

struct Run<'a, C> {
    target: &'a Target<'a>,
    check: C,
    caught: Caught,
    last: Last,
    /// Inputs that are worth changing.
    pool: Vec<Vec<u8>>,
    outcomes: BTreeSet<String>,
    inputs: u64,
    keep: bool,
}

impl<'a, C: Fn(&[u8]) -> String> Run<'a, C> {
    fn begin(target: &'a Target<'a>, check: C) -> Self {
        fs::create_dir_all(target.scratch).unwrap_or_else(|error| panic!("{}: {error}", target.scratch));
        let last = Last::in_file(&target.file("last"));
        let (pool, outcomes, keep) = (Vec::new(), BTreeSet::new(), env::var_os(KEEP).is_some());
        Self { target, check, caught: Caught::begin(), last, pool, outcomes, inputs: 0, keep }
    }

    fn try_one(&mut self, input: &[u8], file: Option<&str>) {
        self.last.note(input);
        let started = Instant::now();
        let found = self.caught.call(|| (self.check)(input));
        let took = started.elapsed();
        self.inputs += 1;
        match found {
            Ok(_) if took > SLOW => self.fail(input, file, &format!("took {took:?}")),
            Ok(outcome) => {
                if self.outcomes.insert(outcome) || file.is_some() {
                    self.pool.push(input.to_vec());
                    self.keep(input, file);
                }
            }
            Err(panic) => {
                // Of the same rule: another one may be broken by less.
                let place = |panic: &str| panic.lines().next().map(str::to_owned);
                let same = |found: Result<String, String>| found.is_err_and(|other| place(&other) == place(&panic));
                let smaller = shrink::shrink(input, |input| same(self.caught.call(|| (self.check)(input))));
                let panic = self.caught.call(|| (self.check)(&smaller)).err().unwrap_or(panic);
                self.fail(&smaller, file, &panic);
            }
        }
    }

    /// An input of the corpus is there already.
    fn keep(&self, input: &[u8], file: Option<&str>) {
        if self.keep && file.is_none() {
            let path = Path::new(self.target.corpus).join(format!("found-{:016x}", corpus::hash(input)));
            fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }

    fn fail(&self, input: &[u8], file: Option<&str>, why: &str) -> ! {
        let path = self.target.file(&format!("{:016x}", corpus::hash(input)));
        fs::write(&path, input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.caught.end();
        panic!(
            "{}: {}\n{why}\nIt is in {}: mend what it shows, and move it into {} so that it is tried each time.\n{}",
            self.target.name,
            file.map_or_else(|| "an input that nobody wrote fails".to_owned(), |file| format!("{file} fails")),
            path.display(),
            self.target.corpus,
            input.escape_ascii()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The corpus holds `seed`; a check that panics on inputs that `fails` names.
    fn check(words: &[&str], seed: &[u8], fails: impl Fn(&[u8]) -> bool) -> Result<Summary, String> {
        let folder = env::temp_dir().join(format!("ferrule-fuzz-{}-{:x}", std::process::id(), corpus::hash(seed)));
        let corpus = folder.join("corpus");
        fs::create_dir_all(&corpus).expect("a folder");
        fs::write(corpus.join("seed"), seed).expect("a file");
        let (corpus, scratch) = (corpus.display().to_string(), folder.display().to_string());
        let target = Target { name: "own", corpus: &corpus, scratch: &scratch, words, longest: 64, cases: 200_000 };
        let run = || {
            target.run(|input| {
                assert!(!fails(input), "it does what it must not");
                format!("{}{}", input.first() == Some(&b'F'), input.get(1) == Some(&b'E'))
            })
        };
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        fs::remove_dir_all(&folder).expect("the folder goes");
        found.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn bytes_that_lie_deep_are_found_step_by_step_and_made_small() {
        // Three bytes at once would be one input in sixteen million.
        let error = check(&[], b"abcdefgh", |input| input.starts_with(b"FER")).expect_err("it is found");
        assert!(error.contains("it does what it must not") && error.ends_with("\nFER"), "{error}");
    }

    #[test]
    fn words_are_put_in_the_place_of_others() {
        let words = ["ingress", "egress"];
        let fails = |input: &[u8]| input.starts_with(b"kind: egress");
        let error = check(&words, b"kind: pod\nname: a\n", fails).expect_err("it is found");
        assert!(error.ends_with("kind: egress"), "{error}");
    }

    #[test]
    fn what_never_fails_is_tried_to_the_end() {
        let summary = check(&[], b"12", |_| false).expect("nothing fails");
        assert_eq!(summary, Summary { inputs: 200_001, outcomes: 4 });
    }

    #[test]
    fn an_input_of_the_corpus_that_fails_is_named() {
        let error = check(&[], b"bad", |input| input == b"bad").expect_err("it fails");
        assert!(error.contains("seed fails"), "{error}");
    }
}
