//! A packet, as far as policies and flows look at it.

use std::net::IpAddr;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// What it carries.
    pub traffic: Traffic,
}

/// What a packet carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traffic {
    /// TCP.
    Tcp {
        /// The source port.
        source_port: u16,
        /// The destination port.
        port: u16,
        /// It opens a connection: SYN without ACK.
        opens: bool,
    },
    /// UDP.
    Udp {
        /// The source port.
        source_port: u16,
        /// The destination port.
        port: u16,
    },
    /// SCTP.
    Sctp {
        /// The source port.
        source_port: u16,
        /// The destination port.
        port: u16,
    },
    /// ICMP or ICMPv6 echo.
    Echo {
        /// The identifier.
        identifier: u16,
        /// It is an answer.
        reply: bool,
    },
    /// An ICMP or ICMPv6 error.
    Error {
        /// The packet that it quotes.
        about: Box<Packet>,
    },
    /// Any other protocol, by number.
    Other(u8),
}

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A pod of this node, which has the source address (what it sends from another is dropped before any policy).
    LocalPod,
    /// This node itself generated it.
    NodeItself,
    /// It arrived from elsewhere, or the node merely forwards it: its source address is all that is known.
    Forwarded,
}

impl Packet {
    /// The destination port, of a protocol that policies can name.
    #[must_use]
    pub(super) const fn port(&self) -> Option<(crate::objects::Protocol, u16)> {
        use crate::objects::Protocol;
        match self.traffic {
            Traffic::Tcp { port, .. } => Some((Protocol::Tcp, port)),
            Traffic::Udp { port, .. } => Some((Protocol::Udp, port)),
            Traffic::Sctp { port, .. } => Some((Protocol::Sctp, port)),
            Traffic::Echo { .. } | Traffic::Error { .. } | Traffic::Other(_) => None,
        }
    }
}
