//! Backends come and go under connections.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Layout, until};

use super::{
    client::{ask, ask_loose, connected, loose, tcp},
    shop::open,
};

/// Connections that one test opens.
const CONNECTS: usize = 10_000;

/// Asks again and again until told, from sockets of the client's cgroup; how often, and what failed.
pub fn storm(to: SocketAddr, least: usize, stop: &AtomicBool) -> (usize, Vec<String>) {
    let (mut done, mut failed) = (0, Vec::new());
    while done < least || !stop.load(Ordering::Relaxed) {
        if let Err(error) = tcp(to) {
            failed.push(error.to_string());
        }
        done += 1;
    }
    (done, failed)
}

#[test]
fn no_connection_fails_while_backends_change() {
    open(&Layout::default(), |shop| {
        let (stop, changes) = (AtomicBool::new(false), AtomicUsize::new(0));
        let client = shop.client();
        let (done, failed) = thread::scope(|scope| -> Result<_> {
            let changing = scope.spawn(|| -> Result<()> {
                let sets =
                    [&[("a", "")][..], &[("b", ""), ("c", "")], &[("c", "")], &[("a", ""), ("b", ""), ("c", "")]];
                while !stop.load(Ordering::Relaxed) {
                    let number = changes.fetch_add(1, Ordering::Relaxed);
                    shop.serve("", &shop.endpoints(sets[number % sets.len()]))?;
                    thread::sleep(Duration::from_millis(7));
                }
                Ok(())
            });
            let asked = client.open(|| storm(shop.addresses()[0], CONNECTS, &AtomicBool::new(true)));
            stop.store(true, Ordering::Relaxed);
            changing.join().expect("it does not panic")?;
            asked
        })?;
        let changes = changes.load(Ordering::Relaxed);
        eprintln!("{done} connections, {changes} changes, {} failed", failed.len());
        ensure!(failed.is_empty(), "{} of {done} failed over {changes} changes: {:?}", failed.len(), failed.first());
        ensure!(changes > 20, "only {changes} changes");
        Ok(())
    });
}

#[test]
fn a_udp_socket_leaves_a_backend_that_goes() {
    open(&Layout::default(), |shop| {
        let client = shop.client();
        for to in shop.addresses().into_iter().chain([super::client::mapped(shop.addresses()[0])]) {
            let before = if to.is_ipv4() { "a" } else { "c" };
            let after = if before == "a" { "c" } else { "a" };
            shop.serve("", &shop.endpoints(&[(before, "")]))?;
            shop.leads_to("web", &[before])?;
            super::shop::only(client, to, &[before])?;
            let (held, free) = client.open(|| Ok::<_, std::io::Error>((connected(to)?, loose(to)?)))??;
            let (own, foreign) = (
                super::client::Client::new(client.node, &client.node.netns).open(|| connected(to))??,
                client.open(|| {
                    connected(SocketAddr::new(shop.endpoints(&[(before, "")])[0].0, super::shop::LISTENS))
                })??,
            );
            for answer in [ask(&held)?, ask(&own)?, ask_loose(&free, to)?, ask(&foreign)?] {
                ensure!(answer.name == before, "{answer:?}");
            }
            shop.serve("", &shop.endpoints(&[(after, "")]))?;
            shop.leads_to("web", &[after])?;
            super::shop::only(client, to, &[after])?;
            let answer = ask_loose(&free, to).with_context(|| format!("to {to}"))?;
            ensure!(answer.name == after && answer.from == to, "a socket that is not connected stays: {answer:?}");
            for (socket, what) in [(&held, "a pod's"), (&own, "the node's")] {
                let broken = || ask(socket).map_err(|error| error.raw_os_error());
                let ended = |answer: &Result<_, Option<i32>>| answer.is_err();
                let gone = until(&format!("{what} socket to be ended"), broken, ended);
                gone.map(drop).with_context(|| format!("to {to}"))?;
            }
            ensure!(ask(&foreign)?.name == before, "a socket that no Service led there is left alone");
        }
        Ok(())
    });
}
