//! What layer 4 says of a packet: its ports, and what kind of message it is.

use aya_ebpf::programs::TcContext;
use ferrule_common::{Drop, wire::protocol};

use crate::packet::Packet;

/// The ports of a packet, or what stands for them.
#[derive(Clone, Copy)]
pub struct Transport {
    /// The source port, or an echo's identifier, or 0; network byte order.
    pub source_port_be: u16,
    /// The destination port, or the same identifier, or 0; network byte order.
    pub destination_port_be: u16,
    /// One of the kinds below, with [`OPENS`], [`ENDS`] and [`RESETS`].
    pub message: u32,
}

/// TCP, UDP or SCTP.
pub const PORTS: u32 = 0;
/// An ICMP echo request.
pub const ECHO_REQUEST: u32 = 1;
/// An ICMP echo reply.
pub const ECHO_REPLY: u32 = 2;
/// Something without ports.
pub const BARE: u32 = 3;
/// An ICMP error, which quotes the packet that it is about.
pub const ERROR: u32 = 4;
/// The kinds above.
pub const KIND: u32 = 0xff;

/// TCP: a SYN without an ACK.
pub const OPENS: u32 = 1 << 8;
/// TCP: a FIN.
pub const ENDS: u32 = 1 << 9;
/// TCP: an RST.
pub const RESETS: u32 = 1 << 10;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

impl Transport {
    /// Of a packet without ports.
    pub const NONE: Self = Self { source_port_be: 0, destination_port_be: 0, message: BARE };

    /// Reads the layer 4 header; the packet is no later fragment.
    #[inline(always)]
    pub fn parse(ctx: &TcContext, packet: &Packet) -> Result<Self, Drop> {
        match packet.protocol {
            protocol::TCP => tcp(ctx, packet),
            protocol::UDP | protocol::SCTP => {
                let ports = packet.load::<[u16; 2]>(ctx, 0)?;
                Ok(Self { source_port_be: ports[0], destination_port_be: ports[1], message: PORTS })
            }
            protocol::ICMP if packet.v4 => icmp(ctx, packet),
            protocol::ICMPV6 if !packet.v4 => icmp(ctx, packet),
            _ => Ok(Self::NONE),
        }
    }
}

#[inline(always)]
fn tcp(ctx: &TcContext, packet: &Packet) -> Result<Transport, Drop> {
    let header = packet.load::<[u16; 7]>(ctx, 0)?;
    let [offset, flags] = header[6].to_ne_bytes();
    // RFC 9293 section 3.1: five words at least.
    if offset >> 4 < 5 {
        return Err(Drop::Malformed);
    }
    let mut message = PORTS;
    if flags & (SYN | ACK) == SYN {
        message |= OPENS;
    }
    if flags & FIN != 0 {
        message |= ENDS;
    }
    if flags & RST != 0 {
        message |= RESETS;
    }
    Ok(Transport { source_port_be: header[0], destination_port_be: header[1], message })
}

/// RFC 792, RFC 4443.
#[inline(always)]
fn icmp(ctx: &TcContext, packet: &Packet) -> Result<Transport, Drop> {
    let header = packet.load::<[u16; 4]>(ctx, 0)?;
    let [kind, _] = header[0].to_ne_bytes();
    let message = message(packet.v4, kind);
    let identifier = if message == ECHO_REQUEST || message == ECHO_REPLY { header[2] } else { 0 };
    Ok(Transport { source_port_be: identifier, destination_port_be: identifier, message })
}

/// What an ICMP or ICMPv6 type means here.
#[inline(always)]
pub const fn message(v4: bool, kind: u8) -> u32 {
    match (v4, kind) {
        (true, 8) | (false, 128) => ECHO_REQUEST,
        (true, 0) | (false, 129) => ECHO_REPLY,
        // Destination unreachable, source quench, time exceeded, parameter problem.
        (true, 3 | 4 | 11 | 12) | (false, 1..=4) => ERROR,
        _ => BARE,
    }
}
