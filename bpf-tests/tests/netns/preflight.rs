//! `ferrule-agent preflight` says what this kernel has, whichever it is, and changes nothing.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::topology::{binary, run};

/// The kernel's version, by which the test knows what has to be found.
pub fn kernel() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split('.').map_while(|part| part.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("{release} is no release"))
}

/// Devices and namespaces of this machine, and what is pinned.
fn observe() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for folder in ["/sys/class/net", "/run/netns", "/sys/fs/bpf", "/proc/sys/net/ipv4/conf"] {
        // The folder of named namespaces is not there before the first.
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        // Other tests' names begin so, and come and go.
        let own = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with("frt"));
        found.extend(own.map(|entry| entry.path().display().to_string()));
    }
    found.insert(fs::read_to_string("/proc/sys/net/ipv4/ip_forward")?);
    Ok(found)
}

fn check() -> Result<()> {
    let before = observe()?;
    let pins = format!("/sys/fs/bpf/frt{}-preflight", std::process::id());
    let mut preflight = Command::new(binary("ferrule-agent")?);
    let text = run(preflight.args(["preflight", "--json", "--node-name", "n1", "--bpffs", &pins]))?;
    ensure!(observe()? == before, "before: {before:?}, after: {:?}", observe()?);
    ensure!(!fs::exists(&pins)?, "{pins} was made");

    let checks: Vec<Value> = serde_json::from_str(&text)?;
    let kernel = kernel()?;
    let line =
        |what: &str| checks.iter().find(|check| check["what"] == what).with_context(|| format!("no {what}: {text}"));
    let is = |what: &str, field: &str, wanted: &str| -> Result<()> {
        let line = line(what)?;
        ensure!(
            line[field].as_str().is_some_and(|text| text.contains(wanted)),
            "{wanted:?} is not in {field} of {line}"
        );
        Ok(())
    };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    is("way out", "means", "needs routes to the pods' CIDRs")?;
    is("kernel", "found", release.trim())?;
    is("architecture", "found", std::env::consts::ARCH)?;
    if kernel >= (6, 6) {
        is("TCX", "found", "yes")?;
        is("TCX", "means", "TCX links")?;
    } else {
        is("TCX", "found", "absent")?;
        is("TCX", "means", "clsact is used")?;
        is("TCX", "verdict", "otherwise")?;
    }
    is("atomic compare-and-exchange", "found", if kernel >= (5, 12) { "yes" } else { "absent" })?;
    is("encapsulation", "found", if kernel >= (5, 12) { "by programs" } else { "by the overlay device" })?;
    is("batched reads of maps", "found", if kernel >= (5, 13) { "tries" } else { "hashes" })?;
    ensure!(line("locked memory").is_ok() == (kernel < (5, 11)), "{text}");
    for what in ["redirects", "maps", "veth", "VXLAN", "clsact", "rights", "BPF file system"] {
        is(what, "verdict", "ok")?;
    }
    is("the programs", "found", "9 of 9")?;
    is("ranges of addresses", "found", "no cluster-cidrs, no node-cidrs")?;
    is("the tunnel's port", "means", "UDP 8472")?;
    line("forged sources")?;
    ensure!(checks.iter().all(|check| check["verdict"] != "fails"), "{text}");
    Ok(())
}

#[test]
fn every_line_fits_this_kernel_and_nothing_changes() {
    check().unwrap_or_else(|error| panic!("{error:#}"));
}
