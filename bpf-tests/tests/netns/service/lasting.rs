//! Agents that go, come, and are replaced.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Layout, Node, until};

use super::{
    changes::storm,
    client::{ask, ask_loose, connected, loose},
    shop::{Shop, open},
};

/// That no connection fails while something happens, and that sockets that were open see the Service all along.
fn undisturbed(shop: &Shop<'_>, work: impl FnOnce(&Node) -> Result<()> + Send) -> Result<()> {
    let (client, node, to) = (shop.client(), shop.node(0), shop.addresses()[0]);
    let (held, free) = client.open(|| Ok::<_, std::io::Error>((connected(to)?, loose(to)?)))??;
    let names = (ask(&held)?.name, ask_loose(&free, to)?.name);
    let stop = AtomicBool::new(false);
    let (done, failed) = thread::scope(|scope| -> Result<_> {
        let asking = scope.spawn(|| client.open(|| storm(to, 100, &stop)));
        thread::sleep(Duration::from_millis(100));
        let worked = work(node);
        stop.store(true, Ordering::Relaxed);
        let asked = asking.join().expect("it does not panic");
        worked?;
        asked
    })?;
    eprintln!("{done} connections, {} failed", failed.len());
    ensure!(failed.is_empty(), "{} of {done} failed: {:?}", failed.len(), failed.first());
    let (one, other) = (ask(&held)?, ask_loose(&free, to)?);
    ensure!(one.from == to && other.from == to, "{one:?} {other:?}");
    ensure!(held.peer_addr()? == to, "the peer is {}", held.peer_addr()?);
    ensure!((one.name, other.name) == names, "sockets moved from {names:?}");
    Ok(())
}

#[test]
fn services_go_on_without_the_agent_and_with_the_next_one() {
    open(&Layout::default(), |shop| {
        let written = shop.node(0).ferrule("map dump fr_services")?;
        undisturbed(shop, |node| {
            node.kill()?;
            thread::sleep(Duration::from_millis(500));
            node.start()?;
            node.stop()?;
            node.start()
        })?;
        let now = shop.node(0).ferrule("map dump fr_services")?;
        let sorted = |map: &serde_json::Value| {
            let mut rows: Vec<String> = map.as_array().into_iter().flatten().map(ToString::to_string).collect();
            rows.sort();
            rows
        };
        ensure!(sorted(&written) == sorted(&now), "what did not change was written anew: {written} {now}");
        Ok(())
    });
}

#[test]
fn what_changed_while_no_agent_ran_is_followed_by_the_next_one() {
    open(&Layout::default(), |shop| {
        shop.node(0).kill()?;
        shop.serve("", &shop.endpoints(&[("c", "")]))?;
        super::shop::who(shop.client(), shop.addresses()[0], 5)?;
        shop.node(0).start()?;
        super::shop::only(shop.client(), shop.addresses()[0], &["c"])
    });
}

#[test]
fn an_agent_with_another_layout_takes_over_without_a_gap() {
    open(&Layout::default(), |shop| {
        for binary in ["ferrule-agent-other", "ferrule-agent"] {
            undisturbed(shop, |node| {
                node.stop()?;
                node.start_binary(binary, &[])?;
                let folders = || {
                    let names = std::fs::read_dir(node.pins()).into_iter().flatten().flatten();
                    names.filter(|entry| entry.file_name().to_string_lossy().starts_with("maps-v")).count()
                };
                until("the other layout to go", folders, |count| *count == 1).map(drop)
            })
            .with_context(|| format!("to {binary}"))?;
        }
        Ok(())
    });
}
