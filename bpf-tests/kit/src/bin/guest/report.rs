//! What the host reads on the console. Lines of ours begin with a mark, since the kernel writes there too; `xtask`'s
//! `kernels/console.rs` is the other end.

use std::{
    io::{Write, stdout},
    time::Duration,
};

const MARK: &str = "@ferrule";

/// A test that will run.
pub fn planned(name: &str) {
    say(&format!("{MARK} plan {name}\n"));
}

/// A test that has run.
pub fn ran(name: &str, passed: bool, time: Duration, output: &str) {
    let mut text = String::new();
    if !passed {
        text.extend(output.lines().map(|line| format!("{MARK} | {line}\n")));
    }
    let verdict = if passed { "pass" } else { "fail" };
    say(&format!("{text}{MARK} {verdict} {} {name}\n", time.as_millis()));
}

/// Everything has run.
pub fn end() {
    say(&format!("{MARK} end\n"));
}

/// The guest could not run its tests.
pub fn broken(why: &str) {
    let text: String = why.lines().map(|line| format!("{MARK} | {line}\n")).collect();
    say(&format!("{text}{MARK} broken\n"));
}

/// Text for the log alone.
pub fn note(text: &str) {
    say(&text.lines().map(|line| format!("{line}\n")).collect::<String>());
}

fn say(text: &str) {
    let mut out = stdout().lock();
    // Whoever does not listen sees the missing end.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
