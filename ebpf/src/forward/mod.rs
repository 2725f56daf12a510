//! Whose an address is, and how a packet gets there.

pub mod arp;
pub mod arrival;
pub mod chained;
pub mod decap;
pub mod deliver;
pub mod discovery;
pub mod encap;
pub mod endpoint;
pub mod mark;
pub mod nd;
pub mod owner;
pub mod path_mtu;
pub mod redirect;
pub mod tunnel;
