//! Whatever a pod, a guest and a host on the link send: no packet with an owner's address from elsewhere is delivered, and nobody's
//! share of the connection table is charged with it. The same seed (`FERRULE_FUZZ_SEED`) gives the same frames.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use ferrule_fuzz::Random;
use test_kit::{
    topology::{Layout, Netns, Node, Pod},
    traffic::{receive, send_all},
};

use super::{Guest, PAYLOAD, from_underlay, own, unused};
use crate::support::within;

/// Frames from each place, in each round.
const FRAMES: usize = 150;
const ROUNDS: usize = 8;
const VXLAN: u16 = 8472;

/// Where frames are sent, and as whom somebody there may send.
struct Place<'a> {
    name: &'static str,
    netns: &'a Netns,
    device: &'static str,
    macs: ([u8; 6], [u8; 6]),
    own: Vec<IpAddr>,
}

/// One hostile frame.
fn frame(random: &mut Random, place: &Place<'_>, sources: &[IpAddr], targets: &[IpAddr]) -> Result<Vec<u8>> {
    let to = *random.one(targets).context("somebody")?;
    let same: Vec<IpAddr> = sources.iter().copied().filter(|from| from.is_ipv4() == to.is_ipv4()).collect();
    let from = *random.one(&same).context("somebody")?;
    let ethernet = PacketBuilder::ethernet2(place.macs.0, place.macs.1);
    let ip = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ethernet.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => ethernet.ipv6(from.octets(), to.octets(), 64),
        _ => anyhow::bail!("one family"),
    };
    let port = *random.one(&[53, VXLAN, 7007, 0]).context("a port")?;
    let mut frame = Vec::new();
    match random.below(6) {
        0 => ip.tcp(4321, port, 7, 1024).syn().write(&mut frame, PAYLOAD)?,
        1 => ip.tcp(4321, port, 7, 1024).ack(9).write(&mut frame, PAYLOAD)?,
        2 if to.is_ipv4() => ip.icmpv4_echo_request(7, 1).write(&mut frame, PAYLOAD)?,
        2 => ip.icmpv6_echo_request(7, 1).write(&mut frame, PAYLOAD)?,
        3 => {
            // RFC 7348 section 5, with a packet inside that claims to be somebody's.
            let inner = super::udp(([2; 6], [4; 6]), from, to, 53, PAYLOAD)?;
            ip.udp(4321, VXLAN).write(&mut frame, &[&[8, 0, 0, 0, 0, 0, 1, 0][..], &inner].concat())?;
        }
        _ => ip.udp(4321, port).write(&mut frame, PAYLOAD)?,
    }
    if random.below(4) == 0 {
        // Somewhere in the headers.
        let at = 12 + random.below(60.min(frame.len() - 12));
        frame[at] = random.byte();
    }
    Ok(frame)
}

/// The source of a frame that carries [`PAYLOAD`], where it is an IP packet and no answer, which carries it, too.
fn source(frame: &[u8]) -> Option<IpAddr> {
    if !frame.windows(PAYLOAD.len()).any(|part| part == PAYLOAD) {
        return None;
    }
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let answers = match &packet.transport {
        Some(TransportSlice::Icmpv4(icmp)) => icmp.type_u8() != 8,
        Some(TransportSlice::Icmpv6(icmp)) => icmp.type_u8() != 128,
        _ => false,
    };
    if answers {
        return None;
    }
    match packet.net? {
        NetSlice::Ipv4(ip) => Some(ip.header().source_addr().into()),
        NetSlice::Ipv6(ip) => Some(ip.header().source_addr().into()),
        NetSlice::Arp(_) => None,
    }
}

/// What pods get while `work` is done.
fn seen(pods: &[&Pod], work: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Vec<u8>>> {
    let Some((first, others)) = pods.split_first() else {
        work()?;
        return Ok(Vec::new());
    };
    let mut theirs = Vec::new();
    let mut frames = receive(&first.netns, "eth0", || {
        theirs = seen(others, work)?;
        Ok(())
    })?;
    frames.append(&mut theirs);
    Ok(frames)
}

/// How many flows an endpoint is said to have opened.
fn opened(node: &Node, endpoint: u64) -> Result<u64> {
    let shares = node.ferrule("map dump fr_shares")?;
    let own = shares.as_array().into_iter().flatten().find(|row| row["endpoint"] == endpoint.to_string().as_str());
    let count = |name: &str| own.and_then(|row| row[name].as_str()?.parse::<u64>().ok()).unwrap_or_default();
    Ok(count("reserved_out") + count("pooled_out"))
}

#[test]
fn nobody_speaks_for_an_owner_whatever_is_sent() {
    let seed = std::env::var(ferrule_fuzz::SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    within(&Layout::default(), |cluster| {
        let [node, other] = [&cluster.nodes[0], &cluster.nodes[1]];
        let (hostile, a, b) = (node.add("hostile")?, node.add("a")?, node.add("b")?);
        let (far, distant) = (other.add("far")?, other.add("distant")?);
        let guest = Guest::behind(node)?;
        let by_pod = (hostile.netns.mac("eth0")?, node.netns.mac(&hostile.host_link()?)?);
        let places = [
            Place {
                name: "a pod",
                netns: &hostile.netns,
                device: "eth0",
                macs: by_pod,
                own: hostile.addresses.clone(),
            },
            Place {
                name: "a guest",
                netns: &guest.netns,
                device: "eth0",
                macs: guest.macs,
                own: [guest.addresses.to_vec(), vec![unused(node, true)?, unused(node, false)?]].concat(),
            },
            Place {
                name: "a host on the link",
                netns: &cluster.underlay.netns,
                device: "br0",
                macs: from_underlay(cluster, node)?,
                own: cluster.underlay.gateways(1),
            },
        ];
        let pods = [&hostile, &a, &b, &far, &distant];
        let owners: Vec<IpAddr> = pods.iter().flat_map(|pod| pod.addresses.iter().copied()).collect();
        let mut sources = owners.clone();
        for v4 in [true, false] {
            sources.extend([unused(node, v4)?, unused(other, v4)?]);
        }
        sources.extend([
            "127.0.0.1".parse::<IpAddr>()?,
            "::1".parse()?,
            "192.0.2.77".parse()?,
            "2001:db8:9::77".parse()?,
        ]);
        let mut targets = owners.clone();
        targets.extend(node.addresses.iter().chain(&other.addresses));
        targets.push("127.0.0.1".parse()?);
        let endpoints = node.ferrule("endpoint list")?;
        let index = |pod: &Pod| {
            let own = endpoints
                .as_array()
                .into_iter()
                .flatten()
                .find(|one| one["addresses"].to_string().contains(&pod.addresses[0].to_string()));
            own.and_then(|one| one["index"].as_u64()).context("an endpoint without an index")
        };
        let victims = [index(&a)?, index(&b)?];
        let mut random = Random::new(seed);
        let mut reached = 0;
        for (round, place) in (0..ROUNDS).flat_map(|round| places.iter().map(move |place| (round, place))) {
            // Its own address, too, so that something arrives.
            let all: Vec<IpAddr> = sources.iter().chain(&place.own).copied().collect();
            let frames = (0..FRAMES).map(|_| frame(&mut random, place, &all, &targets)).collect::<Result<Vec<_>>>()?;
            let mut work = || send_all(place.netns, place.device, &frames).map(drop);
            for got in seen(&pods, &mut work)? {
                let Some(from) = source(&got) else { continue };
                reached += 1;
                let forged = owners.contains(&from) || from == unused(other, from.is_ipv4())?;
                ensure!(
                    !forged || place.own.contains(&from),
                    "seed {seed}, round {round}: {} spoke as {from}: {got:02x?}",
                    place.name
                );
                ensure!(!from.is_loopback(), "seed {seed}, round {round}: {from} by {}", place.name);
            }
            for victim in victims {
                let charged = opened(node, victim)?;
                ensure!(charged == 0, "seed {seed}, round {round}: endpoint {victim} pays for {charged} flows");
            }
        }
        ensure!(reached > 100, "only {reached} frames arrived at all: the test tries nothing");
        let own = own(node, true)?;
        ensure!(node.ferrule("status")?["ready"] == true, "{own} is not ready");
        Ok(())
    });
}
