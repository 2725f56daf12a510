//! Programs that are run for what they print, and waiting for what takes a moment.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Runs a command that must succeed; its stdout.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout.into_owned()
}

/// A command of words; none of them holds a space.
pub fn words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a line of words names a program"));
    command.args(words);
    command
}

/// Asks until there is an answer. What is still missing at the end is in the panic's message.
pub fn wait<T, E: std::fmt::Display>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let end = Instant::now() + limit;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) if Instant::now() >= end => panic!("{what} not within {} s: {error}", limit.as_secs()),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}
