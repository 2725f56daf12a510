//! Services: which backends each of their ports has on this node, and the writes that bring the maps there.
//!
//! ```text
//! Service, its EndpointSlices, this node's name and zone ── choice ──▶ backends of a port in one family
//! objects ── engine: what a change concerns, and nothing else ──▶ steps: a set of backends under a fresh number,
//!                                                                  then one store that names it, then the former set goes
//! ```
//! The rules are kube-proxy's, so that a cluster behaves as before where it is taken away.

mod choice;
mod demand;
mod engine;
mod follow;
mod force;
mod issue;
mod leaving;
mod numbers;
mod room;
mod share;
mod step;
#[cfg(test)]
mod tests;
mod told;

use std::{net::IpAddr, sync::Arc};

pub use choice::{Endpoints, Place};
pub use engine::{Applied, Engine};
pub use issue::{Issue, Reason, shared_with_pods};
pub use room::{Limits, Summary};
pub use step::{Found, FoundPort, SetOf, Step};

use crate::objects::Protocol;

/// What a client asks for: a port of a Service's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    /// The Service's address.
    pub address: IpAddr,
    /// The Service's port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

impl std::fmt::Display for Frontend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        };
        write!(f, "{} {protocol}", std::net::SocketAddr::new(self.address, self.port))
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// Its address, of the frontend's family.
    pub address: IpAddr,
    /// The port that it listens on.
    pub port: u16,
}

/// What a frontend leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Sorted; none: refused.
    pub backends: Arc<[Backend]>,
    /// For how many seconds a client keeps its backend.
    pub affinity: Option<u32>,
}

impl Served {
    /// Whether a backend has to be found in the set without its place: a client that comes back, or a socket that
    /// sends again, asks whether its own is still there.
    #[must_use]
    pub const fn has_members(&self, protocol: Protocol) -> bool {
        self.affinity.is_some() || matches!(protocol, Protocol::Udp)
    }
}
