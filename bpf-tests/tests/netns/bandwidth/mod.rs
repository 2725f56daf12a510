//! Limits of a pod's bandwidth: both ways, within a node and across.

mod chained;
mod own;

use std::{
    io::{Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use test_kit::topology::{Cluster, Netns, Pod, patience};

use crate::support::address;

/// Bits a second to the pod.
const INGRESS: u64 = 40_000_000;
/// Bits a second from the pod.
const EGRESS: u64 = 20_000_000;
/// Bits that may come at once.
const BURST: u64 = 800_000;
/// Bytes that are sent.
const BYTES: usize = 3_000_000;

fn limits() -> Value {
    json!({"bandwidth": {
        "ingressRate": INGRESS, "ingressBurst": BURST, "egressRate": EGRESS, "egressBurst": BURST,
    }})
}

/// That the limits are the rates at which a pod of the first node receives and sends; and that nothing else is wrong.
fn limits_hold(cluster: &Cluster, limited: &Pod) -> Result<()> {
    let node = &cluster.nodes[0];
    for (place, peer) in [("same node", node.add("near")?), ("other node", cluster.nodes[1].add("far")?)] {
        for v4 in [true, false] {
            let (to, from) = (address(limited, v4)?, address(&peer, v4)?);
            holds(&format!("{place} to {to}"), INGRESS, one_way(&peer.netns, &limited.netns, to)?)?;
            holds(&format!("{place} from {to}"), EGRESS, one_way(&limited.netns, &peer.netns, from)?)?;
        }
    }
    let findings = node.doctor()?;
    ensure!(findings.iter().all(|finding| finding["verdict"] != "failure"), "{findings:?}");
    Ok(())
}

/// The rate was the limit, more or less: the burst goes at once, and headers are counted.
fn holds(what: &str, limit: u64, took: Duration) -> Result<()> {
    let bits = BYTES as f64 * 8.0;
    let rate = bits / took.as_secs_f64();
    let ratio = rate / limit as f64;
    eprintln!("{what}: {:.1} Mbit/s of {}", rate / 1e6, limit / 1_000_000);
    // An emulated machine may be slower than the limit.
    let least = 0.5 / patience(Duration::from_secs(1)).as_secs_f64();
    ensure!((least..1.25).contains(&ratio), "{what}: {rate:.0} bit/s where the limit is {limit}");
    Ok(())
}

/// How long it takes until all bytes have arrived.
fn one_way(from: &Netns, to: &Netns, address: IpAddr) -> Result<Duration> {
    let limit = patience(Duration::from_secs(15));
    let listener = to.enter(|| TcpListener::bind(SocketAddr::new(address, 5001)))??;
    let receiver = thread::spawn(move || -> std::io::Result<usize> {
        let (mut stream, _) = listener.accept()?;
        stream.set_read_timeout(Some(limit))?;
        let (mut buffer, mut received) = (vec![0; 1 << 16], 0);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(received),
                length => received += length,
            }
        }
    });
    let start = Instant::now();
    let mut stream = from.enter(|| TcpStream::connect_timeout(&SocketAddr::new(address, 5001), limit))??;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(&vec![0; BYTES])?;
    stream.shutdown(Shutdown::Write)?;
    let received = receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    ensure!(received == BYTES, "{received} of {BYTES} bytes arrived");
    Ok(start.elapsed())
}
