//! The table of flows: who fills it, whom that harms, what is listed, and what is forgotten.

use std::{
    io::Read,
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use test_kit::topology::{Layout, Netns, Node, Pod, until};

use super::{
    door::{Door, Knocking},
    town::within,
    wires::{Kind, Wire, any, at},
};

/// A table that a short run puts under pressure: a pod's share are 512 flows.
const SMALL: Layout = Layout {
    nodes: 1,
    pods: test_kit::topology::Families::Dual,
    underlay: test_kit::topology::Families::Dual,
    fabric: test_kit::topology::Fabric::Bridge,
    mtu: None,
    routing: test_kit::topology::Routing::Vxlan,
    arguments: &["--conntrack-entries", "2048"],
};

/// A larger one, of which a pod's share is more than who asks usually opens.
const LARGE: &[&str] = &["--conntrack-entries", "16384"];
/// A pod's share of that.
const SHARE: usize = 4096;

/// Set to run for two minutes with a table of 16,384 flows.
const FULL: &str = "FERRULE_FULL_CONNTRACK";

/// Connections a second, and threads that make them.
const RATE: u32 = 1000;
const THREADS: u32 = 4;

/// Packets that were dropped since the table or a share was full.
fn refused(node: &Node) -> Result<u64> {
    let programs = ["from_pod", "to_pod", "from_overlay"];
    let reasons = ["conntrack-full", "conntrack-share"];
    let each = programs.iter().flat_map(|program| reasons.iter().map(move |reason| node.count(program, reason)));
    each.sum()
}

/// Answers every connection by its end.
fn hangs_up(netns: &Netns, stop: &Arc<AtomicBool>) -> Result<thread::JoinHandle<()>> {
    let listener = netns.enter(|| TcpListener::bind(at(any(false), 80)))??;
    listener.set_nonblocking(true)?;
    let stop = Arc::clone(stop);
    Ok(thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            if listener.accept().is_err() {
                thread::sleep(Duration::from_micros(200));
            }
        }
    }))
}

/// Makes short connections at a steady rate; how many, how many failed, and the longest.
fn short_connections(from: &Pod, to: IpAddr, lasts: Duration) -> Result<(u32, u32, Duration)> {
    // More ports than the usual, each again after a second.
    from.netns.sysctl("ipv4/ip_local_port_range", "1024 65535")?;
    from.netns.sysctl("ipv4/tcp_tw_reuse", "1")?;
    let (made, failed) = (AtomicU32::new(0), AtomicU32::new(0));
    let start = Instant::now();
    let one = || -> Result<Duration> {
        from.netns.enter(|| {
            let mut longest = Duration::ZERO;
            let (pause, mut own) = (Duration::from_secs(1) * THREADS / RATE, 0);
            while start.elapsed() < lasts {
                let begin = Instant::now();
                let ended = TcpStream::connect_timeout(&at(to, 80), Duration::from_secs(3))
                    .and_then(|mut stream| stream.read(&mut [0; 8]));
                made.fetch_add(1, Ordering::Relaxed);
                failed.fetch_add(u32::from(ended.is_err()), Ordering::Relaxed);
                longest = longest.max(begin.elapsed());
                own += 1;
                thread::sleep((pause * own).saturating_sub(start.elapsed()));
            }
            longest
        })
    };
    let longest = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>>>()
    })?;
    Ok((made.into_inner(), failed.into_inner(), longest.into_iter().max().unwrap_or_default()))
}

#[test]
fn one_pair_opens_a_thousand_connections_a_second_while_the_agent_is_dead_and_none_is_refused() {
    let full = std::env::var_os(FULL).is_some();
    let (lasts, arguments) =
        if full { (Duration::from_secs(120), LARGE) } else { (Duration::from_secs(15), SMALL.arguments) };
    within(&Layout { arguments, ..SMALL.clone() }, |town| {
        let (client, server) = (town.pod("x/client", 1, "app: client")?, town.pod("x/server", 1, "app: server")?);
        town.policies(&[("x/p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}], egress: [{}]")])?;
        town.settle()?;
        let node = town.node(1);
        let before = refused(node)?;
        let stop = Arc::new(AtomicBool::new(false));
        let serving = hangs_up(&server.netns, &stop)?;
        node.kill()?;
        let ended = short_connections(&client, server.address(true).context("no address")?, lasts);
        stop.store(true, Ordering::Relaxed);
        // Where it panicked it has printed why.
        let _ = serving.join();
        let (made, failed, longest) = ended?;
        node.start()?;
        let refused = refused(node)? - before;
        eprintln!("{made} connections in {lasts:?}, {failed} failed, {refused} refused, the longest took {longest:?}");
        ensure!(failed == 0 && refused == 0, "of {made} connections {failed} failed, {refused} packets were refused");
        let pressure = u64::from(made) > lasts.as_secs() * u64::from(RATE) / 4;
        ensure!(pressure, "only {made} connections in {lasts:?}: this machine is too slow for this test");
        Ok(())
    });
}

/// How many flows a pod opened, as they are listed.
fn flows_of(node: &Node, pod: &Pod) -> Result<usize> {
    let all = node.ferrule("conntrack list")?;
    Ok(all.as_array().into_iter().flatten().filter(|flow| is_by(flow, pod)).count())
}

fn is_by(flow: &Value, pod: &Pod) -> bool {
    pod.addresses.iter().any(|address| flow["source"] == address.to_string().as_str())
}

#[test]
fn a_scan_fills_only_the_share_of_who_scans() {
    within(&Layout { arguments: LARGE, ..SMALL.clone() }, |town| {
        let (scanner, target) = (town.pod("x/scanner", 1, "app: scanner")?, town.pod("x/target", 1, "app: target")?);
        let (client, server) = (town.pod("y/client", 1, "app: client")?, town.pod("y/server", 1, "app: server")?);
        town.settle()?;
        let node = town.node(1);
        let _door = Door::open(&server.netns)?;
        let standing = Wire::all(&scanner, &server)?;
        let knocking = Knocking::start(&client.netns, &server.addresses, true);
        for address in &scanner.addresses {
            // Asked, but never answered.
            target.netns.ip(&format!("route add blackhole {address}/{}", if address.is_ipv4() { 32 } else { 128 }))?;
        }
        let to = target.address(true).context("no address")?;
        scanner.netns.enter(|| -> Result<()> {
            let socket = UdpSocket::bind((any(true), 0))?;
            for port in 1..12_000 {
                // The target says by ICMP that nobody listens; some that are refused are told to the sender.
                let _ = socket.send_to(b"?", (to, port));
            }
            for port in 1..300 {
                let _ = TcpStream::connect_timeout(&at(to, port), Duration::from_millis(1));
            }
            Ok(())
        })??;
        let held = flows_of(node, &scanner)?;
        let refused = refused(node)?;
        eprintln!("the scanner holds {held} flows, {refused} packets were refused");
        ensure!(held <= SHARE + 8 && held > SHARE / 2, "the scanner holds {held} flows");
        // What nobody has confirmed makes room for what comes after it.
        ensure!(refused == 0, "{refused} packets were refused");
        knocking.was_always_let_in().context("another pod")?;
        standing.iter().try_for_each(Wire::lives).context("the scanner's own old connections")
    });
}

#[test]
fn flows_are_listed_and_forgotten() {
    let arguments = &[
        "--conntrack-udp",
        "2",
        "--conntrack-udp-stream",
        "2",
        "--conntrack-tcp-closing",
        "1",
        "--conntrack-other",
        "1",
    ];
    within(&Layout { arguments, ..Layout::default() }, |town| {
        let (near, far) = (town.pod("x/near", 1, "app: near")?, town.pod("x/far", 2, "app: far")?);
        let server = town.pod("x/server", 1, "app: server")?;
        let node = town.node(1);
        let wires = [&near, &far].map(|client| Wire::all(client, &server));
        let wires = wires.into_iter().collect::<Result<Vec<_>>>()?;
        for client in [&near, &far] {
            let list = node.ferrule("conntrack list")?;
            let own: Vec<&Value> = list.as_array().into_iter().flatten().filter(|flow| is_by(flow, client)).collect();
            for protocol in ["tcp", "udp"] {
                let those: Vec<_> = own.iter().filter(|flow| flow["protocol"] == protocol).collect();
                ensure!(those.len() == 2 && those.iter().all(|flow| flow["state"] == "answered"), "{protocol}: {list}");
            }
        }
        let count = |client: &Pod, protocol: &str| {
            let all = node.ferrule("conntrack list").unwrap_or_default();
            let of = |flow: &&Value| is_by(flow, client) && flow["protocol"] == protocol;
            all.as_array().into_iter().flatten().filter(of).count()
        };
        // What is silent for too long goes; a connection stays.
        until("datagrams to be forgotten", || (count(&near, "udp"), count(&far, "udp")), |left| *left == (0, 0))?;
        ensure!((count(&near, "tcp"), count(&far, "tcp")) == (2, 2), "connections are gone");
        // By address, then all; what goes on begins anew.
        let address = near.address(true).context("no address")?;
        let flushed = node.ferrule(&format!("conntrack flush --address {address}"))?;
        ensure!(flushed["removed"] == 1 && count(&near, "tcp") == 1 && count(&far, "tcp") == 2, "{flushed}");
        node.ferrule("conntrack flush")?;
        ensure!(count(&near, "tcp") + count(&far, "tcp") == 0, "something is left");
        wires.iter().flatten().try_for_each(Wire::lives)?;
        // One that has ended goes soon.
        drop(wires);
        until(
            "closed connections to be forgotten",
            || (count(&near, "tcp"), count(&far, "tcp")),
            |left| *left == (0, 0),
        )?;
        Wire::open(Kind::Tcp, &near, &server, true).map(drop)
    });
}
