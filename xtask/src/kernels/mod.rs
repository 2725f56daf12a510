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

use std::{fs, path::PathBuf, time::Instant};

use anyhow::Result;

use crate::{arch::Arch, test::Summary, workspace::Workspace};

use console::Verdict;
use release::Release;

/// Boots every kernel whose label is among `arguments`, or all, and runs the tests whose names hold another of them.
///
/// # Errors
/// Where what all guests need cannot be built. A guest's own failure is part of the summary.
pub fn run(workspace: &Workspace, arguments: &[String]) -> Result<Summary> {
    let (labels, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|word| release::is_label(word));
    let chosen = Release::all().into_iter().filter(|r| labels.is_empty() || labels.iter().any(|l| **l == r.label));
    let mut chosen: Vec<_> = chosen.collect();
    chosen.sort_by_key(|release| release.arch != Arch::host());
    fs::create_dir_all(folder(workspace))?;
    let mut sum = Summary { succeeded: true, ..Summary::default() };
    let mut shared: Option<(Arch, Vec<u8>)> = None;
    for release in chosen {
        if shared.as_ref().is_none_or(|(arch, _)| *arch != release.arch) {
            shared = Some((release.arch, root::archive(workspace, release.arch, &names)?));
        }
        let Some((_, archive)) = &shared else { continue };
        sum.add(&one(workspace, release, archive));
    }
    Ok(sum)
}

/// The folder of everything that this tier keeps.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("target/kernels")
}

/// One guest, from its package to its results.
fn one(workspace: &Workspace, release: Release, archive: &[u8]) -> Summary {
    let start = Instant::now();
    let failed = |what: String| {
        println!("        FAIL {}: {what}", release.label);
        Summary { failed: 1, ..Summary::default() }
    };
    let outcome = boot(workspace, release, archive);
    let (results, machine) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return failed(format!("{error:#}")),
    };
    let mut sum = Summary { succeeded: true, ..Summary::default() };
    let missing = results.tests.values().filter(|verdict| **verdict == Verdict::Missing).count();
    for (name, verdict) in results.tests.iter().filter(|(_, verdict)| **verdict != Verdict::Missing) {
        let word = if *verdict == Verdict::Passed { "PASS" } else { "FAIL" };
        if *verdict == Verdict::Passed {
            sum.passed += 1
        } else {
            sum.failed += 1
        }
        println!("        {word} [{:>8}] {} {name}", results.time(name), release.label);
        if let Some(output) = results.output(name) {
            println!("{output}");
        }
    }
    if !results.ended {
        sum.add(&failed(format!("the guest did not come to its end; {missing} tests have not run{}", results.tail())));
    }
    for exception in release.exceptions {
        println!("     {}: without {}::{}*: {}", release.label, exception.binary, exception.part, exception.why);
    }
    println!(
        "     {}: {machine}, {} passed, {} failed in {:.0} s",
        release.label,
        sum.passed,
        sum.failed,
        start.elapsed().as_secs_f32()
    );
    sum
}

fn boot(workspace: &Workspace, release: Release, archive: &[u8]) -> Result<(console::Results, String)> {
    let kernel = package::fetch(workspace, release)?;
    let mut initramfs = archive.to_vec();
    initramfs.extend(modules::archive(&kernel)?);
    initramfs.extend(root::exceptions(&release));
    let file = folder(workspace).join(format!("{}.cpio", release.label));
    fs::write(&file, initramfs)?;
    let results = guest::run(&kernel, &file, &folder(workspace).join(format!("{}.log", release.label)))?;
    fs::remove_file(&file)?;
    Ok((results, kernel.version))
}
