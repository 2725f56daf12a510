//! What somebody else changes is mended, and what is not wanted is taken away.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Layout, Node, run, until};

use super::shop::{only, open, who};

fn failures(node: &Node) -> Result<Vec<String>> {
    let findings = node.doctor()?.into_iter().filter(|one| one["verdict"] == "failure");
    Ok(findings.map(|one| one.to_string()).collect())
}

/// What `doctor` says of damage that it is asked about before the agent has mended it by itself, which it does every 15 s.
fn noticed(node: &Node, words: &str, damage: impl Fn() -> Result<()>) -> Result<()> {
    let found = || {
        damage()?;
        failures(node)
    };
    let told = |found: &Result<Vec<String>>| found.as_ref().is_ok_and(|all| all.iter().any(|one| one.contains(words)));
    until(&format!("{words:?} in doctor's words"), found, told)?.map(drop)
}

fn pinned(node: &Node) -> usize {
    let names = std::fs::read_dir(node.pins().join("links")).into_iter().flatten().flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with("cgroup-")).count()
}

/// Deletes the first entries of a map.
fn delete(map: &Path, count: usize) -> Result<()> {
    let bpftool = |words: &[&str]| {
        let mut command = Command::new("bpftool");
        command.args(words).arg(map);
        command
    };
    let dump = run(&mut bpftool(&["-j", "map", "dump", "pinned"]))?;
    let entries: Vec<serde_json::Value> = serde_json::from_str(&dump)?;
    for entry in entries.iter().take(count) {
        let key = entry["key"].as_array().context("no key")?.iter().filter_map(|byte| byte.as_str());
        let mut command = bpftool(&["map", "delete", "pinned"]);
        run(command.args(["key", "hex"]).args(key.map(|byte| byte.trim_start_matches("0x"))))?;
    }
    Ok(())
}

#[test]
fn what_somebody_takes_away_is_found_and_mended() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[0]);
        until("nothing is wrong", || failures(node), |found| found.as_ref().is_ok_and(Vec::is_empty))??;
        let pin = node.pins().join("links/cgroup-connect4");
        noticed(node, "connect4", || match std::fs::remove_file(&pin) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        })?;
        node.ferrule("doctor --fix")?;
        only(shop.client(), to, &["a", "b", "c"]).context("after a program was taken away")?;
        // An entry, and then a whole map.
        for (name, damage) in [("fr_services", 1), ("fr_backends", 3), ("fr_svc_members", usize::MAX)] {
            let map = node.maps()?.join(name);
            noticed(node, "something else than was written", || delete(&map, damage))
                .with_context(|| name.to_owned())?;
            node.ferrule("doctor --fix")?;
            let left = failures(node)?;
            ensure!(left.is_empty(), "{name}: {left:?}");
            only(shop.client(), to, &["a", "b", "c"]).with_context(|| name.to_owned())?;
        }
        Ok(())
    });
}

#[test]
fn services_that_are_switched_off_are_translated_no_more() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[0]);
        ensure!(pinned(node) == 9, "{} programs are pinned", pinned(node));
        node.stop()?;
        node.start_with(&["--services", "off"])?;
        until("the programs to go", || pinned(node), |count| *count == 0)?;
        ensure!(shop.client().tcp(to)?.is_err(), "{to} still answers");
        node.stop()?;
        node.start()?;
        who(shop.client(), to, 5)?;
        node.stop()?;
        node.cleanup()?;
        ensure!(!node.pins().exists(), "{} is left", node.pins().display());
        ensure!(shop.client().tcp(to)?.is_err(), "{to} still answers after cleanup");
        Ok(())
    });
}

#[test]
fn services_are_shown_with_their_backends() {
    open(&Layout::default(), |shop| {
        let node = shop.node(0);
        let listed = node.ferrule("service list")?;
        ensure!(listed[0]["name"] == "default/web" && listed[0]["kind"] == "ClusterIP", "{listed}");
        let shown = node.ferrule("service get web")?;
        let port = &shown[0]["ports"][0];
        ensure!(port["frontend"] == "10.96.0.10:80" && port["protocol"] == "TCP", "{shown}");
        let backends = port["backends"].as_array().context("no backends")?;
        ensure!(backends.len() == 3 && backends.iter().all(|one| one["state"] == "ready"), "{shown}");
        ensure!(backends.iter().any(|one| one["node"] == "n2"), "{shown}");
        let status = node.ferrule("status")?;
        ensure!(status["services"] == 1 && status["servicePorts"] == 4, "{status}");
        let missing = node.ferrule("service get nothing");
        ensure!(
            missing.is_err_and(|error| format!("{error:#}").contains("there is no Service default/nothing")),
            "no error"
        );
        // Two Services, one address.
        shop.serve_as("thief", &["10.96.0.10"], "", &[])?;
        let issues = || node.ferrule("status").unwrap_or_default()["issues"].to_string();
        let words = "spec.clusterIPs: 10.96.0.10 is the address of Service default/thief too";
        let said = until("the issue", issues, |issues| issues.contains("is the address of Service"))?;
        ensure!(said.contains("Service default/web") && said.contains(words), "{said}");
        Ok(())
    });
}
