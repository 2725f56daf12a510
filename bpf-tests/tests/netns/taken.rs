//! Ports that somebody on the node took first, and clients that fill what is open to all.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;
use test_kit::topology::{Cluster, Layout, Node, Prefix, Routing, until};

use crate::support::{End, all_reach_all, ends};

const PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9465);

/// A cluster whose agents do not run yet.
fn prepared(layout: &Layout) -> Cluster {
    Cluster::prepare(Prefix::of_a_test(), layout).expect("the topology can be made")
}

fn holds(cluster: &Cluster, test: impl FnOnce() -> Result<()>) {
    test().unwrap_or_else(|error| panic!("{error:#}\n{}", cluster.describe()));
}

fn errors(node: &Node) -> Vec<String> {
    let status = node.ferrule("status").unwrap_or_default();
    let errors = status["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Waits until an error says this, or none does.
fn told(node: &Node, word: &str, wanted: bool) -> Result<()> {
    let has = |errors: &Vec<String>| errors.iter().any(|error| error.contains(word)) == wanted;
    until(&format!("{word:?} among the errors: {wanted}"), || errors(node), has).map(drop)
}

fn finds(node: &Node, word: &str) -> Result<()> {
    let findings = node.doctor()?;
    let broken = findings.iter().any(|one| one["verdict"] == "failure" && one.to_string().contains(word));
    ensure!(broken, "no failure names {word}: {findings:?}");
    Ok(())
}

fn ask(node: &Node, path: &str) -> Result<String> {
    node.netns.enter(|| -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&PORT, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })?
}

#[test]
fn a_port_that_somebody_took_keeps_nothing_else() {
    let cluster = prepared(&Layout { nodes: 1, ..Layout::default() });
    let n1 = &cluster.nodes[0];
    holds(&cluster, || {
        let squatter = n1.netns.enter(|| TcpListener::bind(PORT))??;
        n1.start_with(&["--listen", &PORT.to_string()])?;
        let (a, b) = (n1.add("a")?, n1.add("b")?);
        all_reach_all(&ends(&cluster, &[&a, &b]))?;
        told(n1, "listen: 127.0.0.1:9465 cannot be listened on", true)?;
        finds(n1, "127.0.0.1:9465")?;
        drop(squatter);
        told(n1, "listen:", false)?;
        let answer = ask(n1, "/livez")?;
        ensure!(answer.ends_with("ok\n"), "{answer}");
        Ok(())
    });
}

#[test]
fn a_tunnel_port_that_somebody_took_keeps_nothing_else() {
    let cluster = prepared(&Layout::default());
    let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
    holds(&cluster, || {
        let squatter = n1.netns.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 8472)))??;
        n1.start()?;
        n2.start()?;
        let (a, b, c) = (n1.add("a")?, n1.add("b")?, n2.add("c")?);
        n1.check(&a)?;
        all_reach_all(&[End::from(&a), End::from(&b), End::from(n1)])?;
        told(n1, "ferrule-vxlan could not be brought up", true)?;
        finds(n1, "ferrule-vxlan")?;
        drop(squatter);
        told(n1, "ferrule-vxlan", false)?;
        all_reach_all(&ends(&cluster, &[&a, &b, &c]))
    });
}

#[test]
fn native_routes_need_no_tunnel_port() {
    let cluster = prepared(&Layout { routing: Routing::Auto, ..Layout::default() });
    let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
    holds(&cluster, || {
        let _squatter = n1.netns.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 8472)))??;
        n1.start()?;
        n2.start()?;
        let (a, c) = (n1.add("a")?, n2.add("c")?);
        all_reach_all(&ends(&cluster, &[&a, &c]))?;
        told(n1, "ferrule-vxlan could not be brought up", true)
    });
}

/// Of 5,000 connections, more than any usual limit of descriptors.
#[test]
fn a_flood_of_half_sent_requests_harms_nobody() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit can be as high");
    let cluster = prepared(&Layout { nodes: 1, ..Layout::default() });
    let n1 = &cluster.nodes[0];
    holds(&cluster, || {
        n1.start_with(&["--listen", &PORT.to_string()])?;
        until("the port", || ask(n1, "/livez").is_ok(), |up| *up)?;
        let process = format!("/proc/{}", n1.agent_process()?);
        let open = || fs::read_dir(format!("{process}/fd")).map_or(0, Iterator::count);
        let (before, rss) = (open(), resident(&process)?);
        let mut half = Vec::new();
        for number in 0..5_000 {
            let stream = n1.netns.enter(|| -> Result<TcpStream> {
                let mut stream = TcpStream::connect_timeout(&PORT, Duration::from_secs(5))?;
                stream.write_all(b"GET /metrics HTTP/1.1\r\nHost")?;
                Ok(stream)
            })?;
            half.push(stream.with_context(|| format!("connection {number}"))?);
            if number % 500 == 499 {
                let start = Instant::now();
                ensure!(ask(n1, "/livez")?.ends_with("ok\n"), "after {number}");
                ensure!(start.elapsed() < Duration::from_secs(2), "{:?} after {number}", start.elapsed());
            }
        }
        let (now, grown) = (open(), resident(&process)?.saturating_sub(rss));
        eprintln!("{before} descriptors before, {now} after; {grown} KiB more");
        ensure!(now < before + 64, "{now} descriptors, {before} before");
        ensure!(grown < 32 << 10, "{grown} KiB more");
        n1.add("a")?;
        let beat = fs::metadata(ferrule_api::plugin::heartbeat(&n1.socket()))?.modified()?.elapsed()?;
        ensure!(beat < Duration::from_secs(30), "the heartbeat is {beat:?} old");
        let metrics = ask(n1, "/metrics")?;
        let closed = metrics.lines().find_map(|line| line.strip_prefix("ferrule_listen_closed_connections_total "));
        ensure!(closed.and_then(|count| count.parse::<f64>().ok()).is_some_and(|count| count > 4_000.0), "{closed:?}");
        Ok(())
    });
}

/// A process's memory, in KiB.
fn resident(process: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
