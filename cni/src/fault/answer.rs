//! Why an answer of the agent cannot be used.

use std::net::IpAddr;

use ferrule_netlink::mac::MacError;
use ipnetwork::IpNetwork;

/// An answer of the agent that no veth can be made of (code 103).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// A name that the kernel does not take.
    #[error("the agent's host_ifname {name:?} {reason}")]
    HostName {
        /// The name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A MAC that is none.
    #[error("the agent's MAC cannot be used")]
    Mac(#[from] MacError),
    /// An MTU too small for the families.
    #[error("the agent's mtu {mtu} is below {least}")]
    Mtu {
        /// In bytes.
        mtu: u32,
        /// In bytes.
        least: u32,
    },
    /// No address at all.
    #[error("the agent gave no address")]
    NoAddress,
    /// An address and a gateway of two families.
    #[error("the agent's address {address} and gateway {gateway} are of two families")]
    Families {
        /// The address.
        address: IpNetwork,
        /// The gateway.
        gateway: IpAddr,
    },
}
