//! Which address a pod gets.
//!
//! [`Pools`] says what may be leased (the node's pod CIDRs less the addresses that are left out), [`Ledger`] what is
//! leased, what rests, and where the round robin stands. Nothing here is durable: the agent's lease database rebuilds
//! the ledger when it opens, and commits a lease before it answers.

mod ledger;
mod pool;
#[cfg(test)]
mod properties;

use std::net::IpAddr;

use ipnetwork::IpNetwork;
pub use ledger::{Ledger, REST_MS};
pub use pool::{Pool, Pools};

use crate::cidr::Family;

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IpamError {
    /// A pod CIDR so small that nothing is left of it.
    #[error(
        "pod CIDR {cidr} has no address for pods: the network, gateway and broadcast addresses are left out; give the \
         node a pod CIDR of /30 (IPv4) or /126 (IPv6) or larger"
    )]
    NoUsableAddress {
        /// The CIDR.
        cidr: IpNetwork,
    },
    /// Two of one node's pod CIDRs overlap.
    #[error("pod CIDRs {first} and {second} overlap; correct spec.podCIDRs of the node")]
    Overlap {
        /// The one listed first.
        first: IpNetwork,
        /// The other.
        second: IpNetwork,
    },
    /// The node has no pod CIDR at all.
    #[error("the node has no pod CIDR; set spec.podCIDRs of its Node object")]
    NoCidr,
    /// Every usable address of a family is leased, or held by something without a lease.
    #[error(
        "{family} pod CIDRs {} are used up: {leased} of {size} addresses leased, {held} held without a lease; give the \
         node another pod CIDR or delete pods",
        list(cidrs)
    )]
    Exhausted {
        /// The family that ran out.
        family: Family,
        /// The node's pod CIDRs of that family.
        cidrs: Vec<IpNetwork>,
        /// How many of their addresses are leased.
        leased: usize,
        /// How many addresses they have for pods.
        size: u128,
        /// How many were found in use without a lease.
        held: usize,
    },
    /// A requested address is in none of the node's pod CIDRs.
    #[error("requested address {address} is in none of this node's pod CIDRs ({}); ask for one of theirs", list(cidrs))]
    Outside {
        /// The requested address.
        address: IpAddr,
        /// The node's pod CIDRs.
        cidrs: Vec<IpNetwork>,
    },
    /// A requested address is one of those that are left out.
    #[error("requested address {address} is a network, gateway or broadcast address of {cidr}; ask for another")]
    Reserved {
        /// The requested address.
        address: IpAddr,
        /// The pod CIDR.
        cidr: IpNetwork,
    },
    /// A requested address belongs to another lease.
    #[error("address {address} is leased to another attachment; delete that pod first or ask for another address")]
    Taken {
        /// The requested address.
        address: IpAddr,
    },
    /// A requested address is in use, though nobody leased it.
    #[error("address {address} is in use on this node without a lease; ask for another address")]
    Held {
        /// The requested address.
        address: IpAddr,
    },
    /// Two addresses of one family are requested.
    #[error("two {family} addresses are requested, {first} and {second}; a pod gets one of each family")]
    TwoOfFamily {
        /// Their family.
        family: Family,
        /// The first.
        first: IpAddr,
        /// The second.
        second: IpAddr,
    },
}

/// `a, b, c`.
fn list(cidrs: &[IpNetwork]) -> String {
    cidrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
