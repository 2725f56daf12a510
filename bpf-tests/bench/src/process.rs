//! What the kernel says of a process: its memory, and the BPF maps and programs that it holds.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use nix::{time::ClockId, unistd::Pid};

/// A number of `/proc/PID/status`, which gives kilobytes, in MB.
///
/// # Errors
/// Where the process or the line is not there.
pub fn memory(process: u32, key: &str) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let text = fs::read_to_string(&path).context(path)?;
    let kilobytes = field(&text, key).and_then(|value| value.split(' ').next()?.parse::<u32>().ok());
    Ok(f64::from(kilobytes.with_context(|| format!("the kernel does not tell {key}"))?) * 1024.0 / 1e6)
}

/// What it ran so far, on all CPUs together.
///
/// # Errors
/// Where the process is not there.
pub fn time(process: u32) -> Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(process.try_into()?))?;
    Ok(clock.now()?.into())
}

/// The memory of all its BPF maps, in MB.
///
/// # Errors
/// Where the process is not there.
pub fn maps(process: u32) -> Result<f64> {
    let mut maps = BTreeMap::new();
    for text in descriptors(process)? {
        if let (Some(id), Some(bytes)) = (number(&text, "map_id"), number(&text, "memlock")) {
            maps.insert(id, bytes);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
    let bytes = maps.values().sum::<u64>() as f64;
    Ok(bytes / 1e6)
}

/// How often a BPF program ran, and for how long, while statistics were on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Runs {
    /// How often.
    pub count: u64,
    /// Nanoseconds altogether.
    pub time: u64,
}

/// Its BPF programs' statistics, by the programs' ids.
///
/// # Errors
/// Where the process is not there.
pub fn programs(process: u32) -> Result<BTreeMap<u32, Runs>> {
    let mut programs = BTreeMap::new();
    for text in descriptors(process)? {
        let numbers = (number(&text, "prog_id"), number(&text, "run_cnt"), number(&text, "run_time_ns"));
        if let (Some(id), Some(count), Some(time)) = numbers {
            programs.insert(id.try_into()?, Runs { count, time });
        }
    }
    Ok(programs)
}

/// What the kernel says of every file that it has open.
fn descriptors(process: u32) -> Result<Vec<String>> {
    let folder = PathBuf::from(format!("/proc/{process}/fdinfo"));
    let files = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    // A file may be closed meanwhile.
    Ok(files.flatten().filter_map(|file| fs::read_to_string(Path::new(&file.path())).ok()).collect())
}

fn number(text: &str, key: &str) -> Option<u64> {
    field(text, key)?.parse().ok()
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "pos:\t0\nmap_type:\t1\nmap_id:\t17\nmemlock:\t4096\n";
        assert_eq!(number(text, "map_id"), Some(17));
        assert_eq!(number(text, "map"), None);
    }
}
