//! Tests in virtual machines with Debian's kernels: packets through the programs, pods over both routings.
//!
//! ```text
//!   release ──▶ package (the suite's index, private to target/kernels) ──▶ image, modules ┐
//!   build   ──▶ test binaries, agent, plugin, tools ──▶ root ──▶ initramfs ───────────────┴▶ guest ──▶ console ──▶ Summary
//! ```
//! Nothing is skipped: a kernel that cannot be fetched or booted fails.

mod binaries;
mod console;
mod cpio;
mod guest;
mod libraries;
mod mirror;
mod modules;
mod package;
mod release;
mod root;

use std::{
    collections::VecDeque,
    fs,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

use anyhow::Result;
pub use binaries::Binaries;
use console::Verdict;
use release::Release;
pub use release::oldest;

use crate::{arch::Arch, test::Summary, workspace::Workspace};

/// Boots every kernel whose label is among `arguments`, or all, and runs the tests whose names hold another of them.
///
/// # Errors
/// Where what all guests need cannot be built. A guest's own failure is part of the summary.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Summary> {
    let (labels, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| release::is_label(word));
    let (chosen, others): (Vec<_>, Vec<_>) =
        Release::all().into_iter().partition(|r| labels.is_empty() || labels.iter().any(|l| **l == r.label));
    if !others.is_empty() {
        let others: Vec<_> = others.iter().map(|release| release.label).collect();
        println!("     not these: {}; `cargo xtask test kernels` runs all", others.join(", "));
    }
    fs::create_dir_all(workspace.kernels())?;
    let mut sum = Summary { succeeded: true, ..Summary::default() };
    for arch in [Arch::Amd64, Arch::Arm64] {
        let queue: VecDeque<_> = chosen.iter().copied().filter(|release| release.arch == arch).collect();
        if !queue.is_empty() {
            sum.add(&all(workspace, queue, &root::archive(workspace, arch, &names)?));
        }
    }
    Ok(sum)
}

/// Guests of one architecture, as many at a time as emulating them keeps this machine's CPUs busy.
fn all(workspace: &Workspace, queue: VecDeque<Release>, archive: &[u8]) -> Summary {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(queue.len());
    let queue = Mutex::new(queue);
    let sum = Mutex::new(Summary { succeeded: true, ..Summary::default() });
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(release) = next() {
                    let (text, found) = one(workspace, release, archive);
                    // Held while printing, so that results do not mix.
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    println!("{text}");
                    sum.add(&found);
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// One guest, from its package to its results, in words and numbers.
fn one(workspace: &Workspace, release: Release, archive: &[u8]) -> (String, Summary) {
    let (start, label) = (Instant::now(), release.label);
    let (results, version) = match boot(workspace, release, archive) {
        Ok(outcome) => outcome,
        Err(error) => {
            return (format!("        FAIL {label}: {error:#}"), Summary { failed: 1, ..Summary::default() });
        }
    };
    let mut lines = Vec::new();
    let mut sum = Summary { succeeded: true, ..Summary::default() };
    for (name, verdict) in results.tests.iter().filter(|(_, verdict)| **verdict != Verdict::Missing) {
        let word = if *verdict == Verdict::Passed { "PASS" } else { "FAIL" };
        if *verdict == Verdict::Passed {
            sum.passed += 1
        } else {
            sum.failed += 1
        }
        lines.push(format!("        {word} [{:>8}] {label} {name}", results.time(name)));
        lines.extend(results.output(name).map(str::to_owned));
    }
    let missing = results.tests.values().filter(|verdict| **verdict == Verdict::Missing).count();
    if !results.ended || missing > 0 {
        sum.failed += 1;
        lines.push(format!(
            "        FAIL {label}: the guest did not come to its end; {missing} tests have not run{}",
            results.tail()
        ));
    }
    for exception in release.exceptions {
        lines.push(format!("     {label}: without {}::{}*: {}", exception.binary, exception.part, exception.why));
    }
    lines.push(format!(
        "     {label}: {version}, {} passed, {} failed in {:.0} s",
        sum.passed,
        sum.failed,
        start.elapsed().as_secs_f32()
    ));
    (lines.join("\n"), sum)
}

fn boot(workspace: &Workspace, release: Release, archive: &[u8]) -> Result<(console::Results, String)> {
    let kernel = package::fetch(workspace, release)?;
    let mut initramfs = archive.to_vec();
    initramfs.extend(modules::archive(&kernel)?);
    initramfs.extend(root::exceptions(&release));
    let file = workspace.kernels().join(format!("{}.cpio", release.label));
    fs::write(&file, initramfs)?;
    let results = guest::run(&kernel, &file, &workspace.kernels().join(format!("{}.log", release.label)))?;
    fs::remove_file(&file)?;
    Ok((results, kernel.version))
}
