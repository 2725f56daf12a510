//! A pod that sends malformed packets as fast as it can harms no other.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Layout, Pod},
    traffic::{
        Flood, Ping,
        load::{Ends, Load},
    },
};

use crate::support::within;

/// Where the flood runs, and where those whose traffic is measured.
const CPUS: (usize, usize) = (1, 0);
/// One measurement.
const SLICE: Duration = Duration::from_millis(400);
/// With and without the flood in turns, since the machine's other work comes and goes.
const ROUNDS: usize = 4;
/// What the flood may cost at most: the CPUs share caches, and often are one core's two threads.
const LEAST: f64 = 0.4;

fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ethertype.to_be_bytes(), payload].concat()
}

fn ipv4(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { unreachable!("IPv4") };
    let length = u16::try_from(20 + payload.len()).expect("short").to_be_bytes();
    let head = [0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    [&head[..], &from.octets(), &to.octets(), payload].concat()
}

fn ipv6(from: IpAddr, to: IpAddr, next: u8, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V6(from), IpAddr::V6(to)) = (from, to) else { unreachable!("IPv6") };
    let length = u16::try_from(payload.len()).expect("short").to_be_bytes();
    [&[0x60, 0, 0, 0, length[0], length[1], next, 64][..], &from.octets(), &to.octets(), payload].concat()
}

/// A copy with one byte changed.
fn with(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    copy[at] = value;
    copy
}

/// What no pod should send, towards `victim`.
fn malformed(own: &Pod, victim: &Pod) -> Result<Vec<Vec<u8>>> {
    let (mac, gateway) = (own.netns.mac("eth0")?, [0x02, 0, 0, 0, 0, 1]);
    let address = |pod: &Pod, v4| pod.address(v4).context("both families");
    let (v4, v6) = (address(own, true)?, address(own, false)?);
    let (to4, to6) = (address(victim, true)?, address(victim, false)?);
    let (good4, good6) = (ipv4(v4, to4, 17, &[0; 32]), ipv6(v6, to6, 17, &[0; 32]));
    let frame4 = |packet: &[u8]| ethernet(gateway, mac, 0x0800, packet);
    let frame6 = |packet: &[u8]| ethernet(gateway, mac, 0x86dd, packet);
    // Destination options of eight bytes each, then an upper layer that never comes.
    let chain = |count: usize| [60, 0, 1, 4, 0, 0, 0, 0].repeat(count);
    let mut frames = vec![
        // Truncated.
        frame4(&[]),
        frame4(&good4[..10]),
        frame4(&good4[..19]),
        frame6(&[]),
        frame6(&good6[..39]),
        // Lengths that lie.
        frame4(&with(&good4, 0, 0x41)),
        frame4(&with(&good4, 0, 0x4f)),
        frame4(&with(&good4, 2, 0xff)),
        frame4(&with(&with(&good4, 2, 0), 3, 4)),
        frame6(&with(&good6, 4, 0xff)),
        // The other family's number.
        frame4(&with(&good4, 0, 0x65)),
        frame6(&with(&good6, 0, 0x45)),
        // Extension headers: too many, one without end, unknown ones.
        frame6(&ipv6(v6, to6, 60, &chain(20))),
        frame6(&ipv6(v6, to6, 60, &chain(100))),
        frame6(&ipv6(v6, to6, 0, &[60, 255, 1, 4])),
        frame6(&ipv6(v6, to6, 253, &chain(4))),
        // Another's addresses.
        frame4(&ipv4(to4, v4, 17, &[0; 32])),
        frame6(&ipv6(to6, v6, 17, &[0; 32])),
        frame4(&ipv4("8.8.8.8".parse()?, to4, 6, &[0; 32])),
        frame6(&ipv6("::ffff:10.0.0.1".parse()?, to6, 17, &[0; 32])),
        ethernet(gateway, [0x02, 9, 9, 9, 9, 9], 0x0800, &good4),
        // Neighbours that are none, routers that are none.
        ethernet([0xff; 6], mac, 0x0806, &[0; 28]),
        frame6(&ipv6("fe80::1".parse()?, "ff02::1".parse()?, 58, &[134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    ];
    for ethertype in [0, 0x05dc, 0x0842, 0x8100, 0x88a8, 0x88cc, 0x8847, 0xffff] {
        frames.push(ethernet(gateway, mac, ethertype, &good4));
    }
    // Bytes that are anything, the same at each run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for length in (1..400).step_by(13) {
        let noise = (0..length).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.collect();
        frames.extend([frame4(&noise), frame6(&noise)]);
    }
    Ok(frames)
}

#[test]
fn a_flood_of_malformed_packets_harms_no_other_pod() {
    within(&Layout::default(), |cluster| {
        let [n1, n2] = &cluster.nodes[..] else { unreachable!("two nodes") };
        let (hostile, client) = (n1.add("hostile")?, n1.add("client")?);
        let (near, far) = (n1.add("near")?, n2.add("far")?);
        ensure!(std::thread::available_parallelism()?.get() >= 2, "one CPU for the flood and one for the others");
        let frames = malformed(&hostile, &near)?;
        for server in [&near, &far] {
            for (load, v4) in [(Load::UdpRr, true), (Load::TcpRr, false), (Load::TcpStream, true)] {
                let address = server.address(v4).context("both families")?;
                let ends = Ends { client: &client.netns, server: &server.netns, address, asked: address };
                let (mut quiet, mut flooded) = (0.0_f64, 0.0_f64);
                for _ in 0..ROUNDS {
                    quiet = quiet.max(load.measure(ends, CPUS.1, SLICE)?);
                    let flood = Flood::start(&hostile.netns, "eth0", frames.clone(), CPUS.0)?;
                    let rate = load.measure(ends, CPUS.1, SLICE);
                    let sent = flood.end()?;
                    flooded = flooded.max(rate.context("during the flood")?);
                    ensure!(sent > 1000, "only {sent} frames were sent");
                }
                let unit = load.unit();
                eprintln!(
                    "{load} to {}: {quiet:.0} {unit}, {flooded:.0} in the flood: {:.2}",
                    server.name,
                    flooded / quiet
                );
                ensure!(flooded > LEAST * quiet, "{load} to {}: {quiet} {unit}, in the flood {flooded}", server.name);
            }
        }
        is_lossless(&hostile, &client, &[&near, &far], frames)?;
        // What was sent was counted as what it is, and nothing got through.
        for reason in
            ["malformed", "ethertype", "vlan", "spoofed-address", "spoofed-mac", "extension-headers", "v4-mapped"]
        {
            let count = n1.count("from_pod", reason)?;
            ensure!(count > 100, "{reason}: {count}");
        }
        n1.check(&hostile)?;
        n1.check(&near)
    });
}

/// No ping between others is lost, and the flooding pod itself can do what it may.
fn is_lossless(hostile: &Pod, client: &Pod, servers: &[&Pod], frames: Vec<Vec<u8>>) -> Result<()> {
    let flood = Flood::start(&hostile.netns, "eth0", frames, CPUS.0)?;
    let addresses: Vec<_> = servers.iter().flat_map(|server| server.addresses.clone()).collect();
    let asking: Result<Vec<_>> = addresses.iter().map(|to| Ping::to(*to).many(&client.netns, 400)).collect();
    for (ping, to) in asking?.into_iter().zip(&addresses) {
        let (sent, answered) = ping.end()?;
        ensure!(sent == 400 && answered == sent, "{to}: {answered} of {sent} pings were answered in the flood");
    }
    Ping::to(addresses[0]).once(&hostile.netns).context("from the flooding pod")?;
    eprintln!("{} malformed frames while others pinged", flood.end()?);
    Ok(())
}
