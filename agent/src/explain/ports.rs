//! Protocols by name.

use ferrule_model::oracle::Traffic;

/// A packet that opens a flow by a protocol; none where the name is no protocol's, or the port is missing or too much.
pub(super) fn traffic(protocol: &str, port: Option<u16>, source_port: u16) -> Option<Traffic> {
    Some(match (protocol, port) {
        ("tcp", Some(port)) => Traffic::Tcp { source_port, port, opens: true },
        ("udp", Some(port)) => Traffic::Udp { source_port, port },
        ("sctp", Some(port)) => Traffic::Sctp { source_port, port },
        ("icmp" | "icmpv6", None) => Traffic::Echo { identifier: 1, reply: false },
        (other, None) => Traffic::Other(other.parse().ok().filter(|number| !matches!(number, 1 | 6 | 17 | 58 | 132))?),
        _ => return None,
    })
}

/// The number of a protocol that has ports.
pub(super) const fn number(traffic: &Traffic) -> Option<(u8, u16)> {
    match traffic {
        Traffic::Tcp { port, .. } => Some((6, *port)),
        Traffic::Udp { port, .. } => Some((17, *port)),
        Traffic::Sctp { port, .. } => Some((132, *port)),
        Traffic::Echo { .. } | Traffic::Error { .. } | Traffic::Other(_) => None,
    }
}
