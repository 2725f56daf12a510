//! Runs the tests: those of a binary in one process where they may share what they load, else each in a process of its
//! own, as many at a time as there are CPUs.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::report;

/// How long one test may take, on a machine without hardware acceleration.
const LIMIT: Duration = Duration::from_secs(180);
/// How much longer than elsewhere tests wait here for what others do.
const PATIENCE: &str = "6";

struct Binary {
    file: PathBuf,
    tests: Vec<String>,
}

impl Binary {
    /// As nextest has it: the binary, then the path within.
    fn full_name(&self, test: &str) -> String {
        format!("{}::{test}", self.file.file_name().unwrap_or_default().to_string_lossy())
    }
}

/// Runs them all.
pub fn run() -> Result<()> {
    preflight();
    let binaries = wanted()?;
    for binary in &binaries {
        binary.tests.iter().for_each(|test| report::planned(&binary.full_name(test)));
    }
    for binary in &binaries {
        if binary.file.with_extension("together").exists() { together(binary)? } else { apart(binary) }
    }
    Ok(())
}

/// What the agent says of this kernel, for the log; a test of its own judges it.
fn preflight() {
    if let Ok(output) = command(Path::new("/bin/ferrule-agent")).arg("preflight").output() {
        report::note(&String::from_utf8_lossy(&output.stdout));
        report::note(&String::from_utf8_lossy(&output.stderr));
    }
}

/// Every test whose name holds a part that its binary's list has, and none that this kernel's list of exceptions has.
fn wanted() -> Result<Vec<Binary>> {
    let mut files: Vec<_> = fs::read_dir("/tests")?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut binaries = Vec::new();
    for file in files.into_iter().filter(|file| file.extension().is_none()) {
        let parts = fs::read_to_string(file.with_extension("wanted"))?;
        let parts: Vec<_> = parts.lines().collect();
        let unwanted = fs::read_to_string(file.with_extension("unwanted")).unwrap_or_default();
        let is_unwanted = |name: &str| unwanted.lines().any(|part| name.contains(part));
        let listing = test_kit::topology::run(command(&file).args(["--list", "--format", "terse"]))?;
        let names = listing.lines().filter_map(|line| line.strip_suffix(": test"));
        let tests: Vec<_> = names
            .filter(|name| parts.iter().any(|part| name.contains(part)) && !is_unwanted(name))
            .map(str::to_owned)
            .collect();
        if !tests.is_empty() {
            binaries.push(Binary { file, tests });
        }
    }
    if binaries.is_empty() { bail!("no test has a name that is wanted") } else { Ok(binaries) }
}

/// All of them in one process; what they print stands behind the last.
fn together(binary: &Binary) -> Result<()> {
    let mut tests = command(&binary.file);
    tests.arg("--exact").args(&binary.tests).args(["-Zunstable-options", "--report-time"]);
    // For the times.
    tests.env("RUSTC_BOOTSTRAP", "1");
    let mut child = tests.stdout(Stdio::piped()).stderr(Stdio::inherit()).process_group(0).spawn()?;
    let (mut failures, mut output) = (BTreeMap::new(), String::new());
    let pipe = child.stdout.take().context("the tests have no output")?;
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        match verdict(&line) {
            Some((test, true, time)) => report::ran(&binary.full_name(test), true, time, ""),
            Some((test, false, time)) => drop(failures.insert(test.to_owned(), time)),
            None => output += &format!("{line}\n"),
        }
    }
    child.wait()?;
    for (test, time) in failures {
        let own = output.split_once(&format!("---- {test} stdout ----\n")).map_or(output.as_str(), |(_, own)| own);
        report::ran(&binary.full_name(&test), false, time, own.split("\n---- ").next().unwrap_or(own));
    }
    Ok(())
}

/// From libtest's line, such as `test a::b ... ok <0.012s>`.
fn verdict(line: &str) -> Option<(&str, bool, Duration)> {
    let (test, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let (verdict, time) = rest.split_once(' ').unwrap_or((rest, ""));
    let seconds = time.trim_start_matches('<').trim_end_matches("s>").parse().unwrap_or(0.0);
    Some((test, verdict == "ok", Duration::from_secs_f64(seconds)))
}

/// Each in a process of its own.
fn apart(binary: &Binary) {
    let queue = Mutex::new(VecDeque::from_iter(&binary.tests));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(test) = next() {
                    let start = Instant::now();
                    let (passed, output) = one(binary, test).unwrap_or_else(|error| (false, format!("{error:#}")));
                    report::ran(&binary.full_name(test), passed, start.elapsed(), &output);
                }
            });
        }
    });
}

/// Whether it passed, and what it printed.
fn one(binary: &Binary, test: &str) -> Result<(bool, String)> {
    let path = PathBuf::from("/tmp").join(format!("{}.out", binary.full_name(test).replace("::", ".")));
    let file = File::create(&path)?;
    let mut tests = command(&binary.file);
    tests
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .stdout(file.try_clone()?)
        .stderr(file)
        .process_group(0);
    let status = limited(&mut tests.spawn().context("the test cannot be started")?)?;
    let output = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
    fs::remove_file(&path)?;
    let Some(status) = status else { bail!("ended after {} s:\n{output}", LIMIT.as_secs()) };
    // Libtest is content with no test of this name; this is not.
    Ok((status.success() && output.contains("1 passed"), output))
}

/// Waits for its end, and ends it after [`LIMIT`].
fn limited(child: &mut Child) -> Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        thread::sleep(Duration::from_millis(5));
    }
    killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL)?;
    child.wait()?;
    Ok(None)
}

fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", "/tmp");
    command.env("FERRULE_BIN_DIR", "/bin").env("FERRULE_EBPF_DIR", "/ebpf").env("FERRULE_PATIENCE", PATIENCE);
    command
}

#[cfg(test)]
mod verdicts {
    use super::*;

    #[test]
    fn a_line_of_libtest_tells_a_verdict() {
        assert_eq!(verdict("test a::b ... ok <0.012s>"), Some(("a::b", true, Duration::from_millis(12))));
        assert_eq!(verdict("test a::b ... FAILED <1.500s>"), Some(("a::b", false, Duration::from_millis(1500))));
        assert_eq!(verdict("running 3 tests"), None);
        assert_eq!(verdict("test result: ok. 3 passed; 0 failed"), None);
    }
}
