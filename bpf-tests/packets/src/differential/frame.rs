//! Packets of the oracle as frames.

use std::net::IpAddr;

use anyhow::{Result, bail};
use etherparse::{IpNumber, PacketBuilder, PacketBuilderStep};
use ferrule_model::oracle::{Packet, Traffic};

const TTL: u8 = 64;
const ETHERNET: usize = 14;
const SCTP: u8 = 132;

/// The frame of a packet, from a MAC.
pub fn frame(packet: &Packet, mac: [u8; 6]) -> Result<Vec<u8>> {
    let ethernet = PacketBuilder::ethernet2(mac, [2; 6]);
    let ip = match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ethernet.ipv4(source.octets(), destination.octets(), TTL),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ethernet.ipv6(source.octets(), destination.octets(), TTL),
        _ => bail!("{packet:?} has two families"),
    };
    let v4 = packet.source.is_ipv4();
    let mut out = Vec::new();
    match &packet.traffic {
        Traffic::Tcp { source_port, port, opens } => {
            let tcp = ip.tcp(*source_port, *port, 1, 1024);
            if *opens { tcp.syn() } else { tcp.ack(1) }.write(&mut out, b"")?;
        }
        Traffic::Udp { source_port, port } => ip.udp(*source_port, *port).write(&mut out, b"ferrule")?,
        Traffic::Sctp { source_port, port } => {
            let [a, b] = source_port.to_be_bytes();
            let [c, d] = port.to_be_bytes();
            raw(ip, SCTP, &[a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0], &mut out)?;
        }
        Traffic::Echo { identifier, reply } => match (v4, reply) {
            (true, false) => ip.icmpv4_echo_request(*identifier, 1).write(&mut out, b"ferrule")?,
            (true, true) => ip.icmpv4_echo_reply(*identifier, 1).write(&mut out, b"ferrule")?,
            (false, false) => ip.icmpv6_echo_request(*identifier, 1).write(&mut out, b"ferrule")?,
            (false, true) => ip.icmpv6_echo_reply(*identifier, 1).write(&mut out, b"ferrule")?,
        },
        Traffic::Error { about } => {
            let quoted = frame(about, mac)?;
            if v4 {
                ip.icmpv4_raw(3, 1, [0; 4]).write(&mut out, &quoted[ETHERNET..])?;
            } else {
                ip.icmpv6_raw(1, 0, [0; 4]).write(&mut out, &quoted[ETHERNET..])?;
            }
        }
        Traffic::Other(protocol) => raw(ip, *protocol, &[0; 16], &mut out)?,
    }
    Ok(out)
}

fn raw(ip: PacketBuilderStep<etherparse::IpHeaders>, protocol: u8, payload: &[u8], out: &mut Vec<u8>) -> Result<()> {
    ip.write(out, IpNumber(protocol), payload)?;
    Ok(())
}
