//! What a run's figures depend on.

use std::{fs, thread};

use anyhow::{Context, Result};

/// How many CPUs there are.
///
/// # Errors
/// The kernel's.
pub fn cpus() -> Result<usize> {
    Ok(thread::available_parallelism().context("the number of CPUs")?.get())
}

/// Kernel, CPUs and memory in one line; no names that tell whose machine it is.
///
/// # Errors
/// Where /proc is not readable.
pub fn describe() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // What follows the version proper is the distribution's or the owner's affair.
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    let value = |file: &str, key: &str| -> Result<Option<String>> {
        let text = fs::read_to_string(file).with_context(|| file.to_owned())?;
        let line = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        Ok(line.and_then(|line| Some(line.split_once(':')?.1.trim().to_owned())))
    };
    let model = value("/proc/cpuinfo", "model name")?.unwrap_or_else(|| std::env::consts::ARCH.into());
    let memory = value("/proc/meminfo", "MemTotal")?.context("/proc/meminfo has no MemTotal")?;
    let kilobytes: u64 = memory.trim_end_matches(" kB").parse().with_context(|| format!("MemTotal: {memory}"))?;
    let virtualised = if value("/proc/cpuinfo", "flags")?.is_some_and(|flags| flags.contains("hypervisor")) {
        ", a virtual machine"
    } else {
        ""
    };
    Ok(format!(
        "Linux {kernel}, {} CPUs ({model}{virtualised}), {} GB of memory",
        cpus()?,
        (kilobytes + 500_000) / 1_000_000
    ))
}
